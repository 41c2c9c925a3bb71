/* A write to one byte of a write-protected anonymous huge page, while its range is registered for missing faults only,
 * makes all of the huge page writable. The marks stay, so after registering for write protection again 511 other
 * pages look protected and are not.
 * cc -O1 -pthread -o t huge-page-loses-protection.c && ./t
 * Exit status 0: the later write was seen. 1: it was not. 2: no huge page to be had. */
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

int main(void)
{
	const size_t huge = 2 << 20;
	pthread_t thread;
	char *start = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memory = (char *)(((unsigned long)start + huge - 1) & ~(huge - 1));
	if (madvise(memory, huge, MADV_HUGEPAGE)) {
		perror("MADV_HUGEPAGE");
		return 2;
	}
	track(huge, 0, 0);
	pthread_create(&thread, NULL, serve, NULL);

	enroll(UFFDIO_REGISTER_MODE_MISSING);
	memory[0] = 2; /* not tracked at the moment */
	enroll(UFFDIO_REGISTER_MODE_WP);

	/* Bit 57 of the page map: write-protected through a userfaultfd. */
	uint64_t entry;
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	check(pread(pagemap, &entry, 8, (unsigned long)(memory + 4096) / 4096 * 8), "pagemap");

	memory[4096] = 2; /* another small page of the same huge page */
	printf("marked as protected: %s; write seen: %s\n", entry >> 57 & 1 ? "yes" : "no", events ? "yes" : "no");
	return !events;
}
