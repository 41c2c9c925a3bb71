/* Merging equal pages (KSM) drops their write protection through a userfaultfd without an event.
 * cc -O1 -pthread -o t ksm-drops-protection.c && ./t
 * Exit status 0: the write was seen. 1: it was not. 2: KSM cannot be switched on (root is needed).
 * It switches KSM on and leaves it as it was. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int uffd;
static char *memory;
static size_t length;

static void check(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(2);
	}
}

static int request_mode(unsigned long number, void *start, size_t len, unsigned long mode)
{
	struct uffdio_writeprotect wp = { .range = { (unsigned long)start, len }, .mode = mode };

	return ioctl(uffd, number, &wp);
}

static void enroll(unsigned long mode)
{
	struct uffdio_register reg = { .range = { (unsigned long)memory, length }, .mode = mode };

	check(ioctl(uffd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER");
}

/* Maps memory, writes to each page, registers it and write-protects it. */
static void track(size_t len, int flags, unsigned long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	check(uffd, "userfaultfd");
	check(ioctl(uffd, UFFDIO_API, &api), "UFFDIO_API");
	length = len;
	if (!memory)
		memory = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);
	check(memory == MAP_FAILED ? -1 : 0, "mmap");
	for (size_t i = 0; i < len; i += 4096)
		memory[i] = 1;
	enroll(UFFDIO_REGISTER_MODE_WP);
	check(request_mode(UFFDIO_WRITEPROTECT, memory, len, UFFDIO_WRITEPROTECT_MODE_WP), "UFFDIO_WRITEPROTECT");
}

static volatile int events;

/* Reads events, counts them, lets the writer go on. */
static void *serve(void *unused)
{
	for (;;) {
		struct pollfd wait = { .fd = uffd, .events = POLLIN };
		struct uffd_msg msg;

		poll(&wait, 1, -1);
		if (read(uffd, &msg, sizeof msg) != sizeof msg)
			continue;
		events++;
		request_mode(UFFDIO_WRITEPROTECT, (void *)(msg.arg.pagefault.address & ~4095ul), 4096, 0);
	}
	return unused;
}

#define PAGES 16

static char before[16];

static int set(const char *value, char *old)
{
	int file = open("/sys/kernel/mm/ksm/run", O_RDWR);

	if (old && read(file, old, 15) < 0)
		return -1;
	return write(file, value, 1) == 1 ? 0 : -1;
}

/* Whether all pages are one page now. */
static int merged(void)
{
	uint64_t entries[PAGES];
	int pagemap = open("/proc/self/pagemap", O_RDONLY);

	check(pread(pagemap, entries, sizeof entries, (unsigned long)memory / 4096 * 8), "pagemap");
	close(pagemap);
	for (int i = 1; i < PAGES; i++)
		if (!(entries[0] << 9) || entries[i] << 9 != entries[0] << 9)
			return 0;
	return 1;
}

int main(void)
{
	pthread_t thread;

	track(PAGES * 4096, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	pthread_create(&thread, NULL, serve, NULL);
	check(madvise(memory, length, MADV_MERGEABLE), "MADV_MERGEABLE");
	check(set("1", before), "/sys/kernel/mm/ksm/run");
	for (int i = 0; i < 600 && !merged(); i++)
		usleep(100000);
	set(before, NULL);
	if (!merged()) {
		printf("nothing was merged in a minute\n");
		return 2;
	}
	memory[3 * 4096] = 2; /* the first two pages are special: one of them becomes the common page */
	printf("write to a merged page seen: %s\n", events ? "yes" : "no");
	return !events;
}
