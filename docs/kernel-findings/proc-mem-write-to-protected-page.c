/* Writing through /proc/PID/mem (a debugger's way) to a page that is write-protected through a userfaultfd fails with EIO,
 * although process_vm_writev to the same page waits for the tracker and works.
 * cc -O1 -pthread -o t proc-mem-write-to-protected-page.c && ./t
 * Exit status 0: it worked. 1: EIO. Wants privilege (or vm.unprivileged_userfaultfd=1). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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
	pthread_t thread;
	char source[8] = "1234567";
	struct iovec local = { source, 8 }, remote;

	track(4096, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	pthread_create(&thread, NULL, serve, NULL);

	remote = (struct iovec){ memory, 8 };
	check(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), "process_vm_writev");
	printf("process_vm_writev: works, %d event\n", events);
	check(request_mode(UFFDIO_WRITEPROTECT, memory, length, UFFDIO_WRITEPROTECT_MODE_WP), "UFFDIO_WRITEPROTECT");

	events = 0;
	int mem = open("/proc/self/mem", O_RDWR);
	ssize_t result = pwrite(mem, source, 8, (off_t)(unsigned long)memory);
	printf("/proc/self/mem: %s, %d events\n", result < 0 ? strerror(errno) : "works", events);
	return result < 0;
}
