/* Read-write protection of a huge page of shmem succeeds and protects nothing.
 * cc -O1 -pthread -o t rwp-lost-on-shmem-huge-page.c && ./t
 * Exit status 0: the read waited for the tracker. 1: it did not. 2: no read-write protection (before 7.3) or no huge page. */
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

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define FEATURE_RWP (1 << 17)
#define REGISTER_MODE_RWP (1 << 3)
#define RWPROTECT _IOWR(UFFDIO, 0x09, struct uffdio_writeprotect)

static volatile int events;

static void *serve(void *unused)
{
	for (;;) {
		struct pollfd wait = { .fd = uffd, .events = POLLIN };
		struct uffd_msg msg;

		poll(&wait, 1, -1);
		if (read(uffd, &msg, sizeof msg) != sizeof msg)
			continue;
		events++;
		request_mode(RWPROTECT, (void *)(msg.arg.pagefault.address & ~4095ul), 4096, 0);
	}
	return unused;
}

/* Registers and protects memory against reads; returns whether a read of its second page is seen. */
static int seen(size_t len, int huge)
{
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURE_RWP };
	pthread_t thread;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	check(uffd, "userfaultfd");
	check(ioctl(uffd, UFFDIO_API, &api), "UFFDIO_API with read-write protection");
	length = len;
	int file = memfd_create("pages", 0);
	check(ftruncate(file, len), "ftruncate");
	char *start = mmap(NULL, 2 * len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory = (char *)(((unsigned long)start + len - 1) & ~(len - 1));
	memory = mmap(memory, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
	check(memory == MAP_FAILED ? -1 : 0, "mmap");
	for (size_t i = 0; i < len; i += 4096)
		memory[i] = 1;
	if (huge)
		check(madvise(memory, len, MADV_COLLAPSE), "MADV_COLLAPSE");
	enroll(REGISTER_MODE_RWP);
	check(request_mode(RWPROTECT, memory, len, 1), "UFFDIO_RWPROTECT");
	pthread_create(&thread, NULL, serve, NULL);
	events = 0;
	(void)*(volatile char *)(memory + 4096);
	return events;
}

int main(void)
{
	printf("small pages: read seen: %s\n", seen(1 << 16, 0) ? "yes" : "no");
	int huge = seen(2 << 20, 1);
	printf("a huge page: read seen: %s\n", huge ? "yes" : "no");
	return !huge;
}
