/* UFFDIO_UNREGISTER does not wake threads that wait in a write-protect fault.
 * cc -O1 -pthread -o t unregister-leaves-writers-asleep.c && ./t
 * Exit status 0: the thread went on. 1: it still slept after two seconds. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
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

static volatile int through;

static void *writer(void *unused)
{
	memory[0] = 2;
	through = 1;
	return unused;
}

int main(void)
{
	pthread_t thread;

	track(4096, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	pthread_create(&thread, NULL, writer, NULL);
	struct pollfd wait = { .fd = uffd, .events = POLLIN };
	poll(&wait, 1, -1); /* the writer waits now */

	struct uffdio_range range = { (unsigned long)memory, length };
	check(ioctl(uffd, UFFDIO_UNREGISTER, &range), "UFFDIO_UNREGISTER");
	for (int i = 0; i < 20 && !through; i++)
		usleep(100000);
	printf("after UFFDIO_UNREGISTER the writer %s\n", through ? "went on" : "still sleeps");
	if (through)
		return 0;

	check(ioctl(uffd, UFFDIO_WAKE, &range), "UFFDIO_WAKE");
	pthread_join(thread, NULL);
	printf("after UFFDIO_WAKE it went on\n");
	return 1;
}
