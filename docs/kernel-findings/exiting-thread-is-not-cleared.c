/* The kernel does not clear the word of CLONE_CHILD_CLEARTID when it lies on a page that is write-protected through a
 * userfaultfd: whoever joins the thread waits for ever. With UFFD_FEATURE_WP_ASYNC it is cleared.
 * cc -O1 -pthread -o t exiting-thread-is-not-cleared.c && ./t
 * Exit status 0: the word was cleared. 1: it was not. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
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

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static int life(void *unused)
{
	(void)unused;
	return 0;
}

int main(void)
{
	pthread_t thread;
	static char stack[65536] __attribute__((aligned(16)));
	volatile int *word;
	char path[64];

	track(4096, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	pthread_create(&thread, NULL, serve, NULL);
	word = (int *)memory;
	int id = clone(life, stack + sizeof stack, THREAD | CLONE_CHILD_CLEARTID, NULL, NULL, NULL, (pid_t *)memory);
	check(id, "clone");
	snprintf(path, sizeof path, "/proc/self/task/%d", id);
	while (access(path, F_OK) == 0)
		usleep(1000);
	printf("the thread has ended; its word is %s; %d events\n", *word ? "not cleared" : "cleared", events);
	return *word != 0;
}
