/* A write to a hugetlbfs page that was write-protected and whose range was then registered for missing faults only
 * faults for ever.
 * echo 4 > /proc/sys/vm/nr_hugepages; cc -O1 -o t hugetlb-stale-bit-faults-for-ever.c && ./t
 * Exit status 0: the write went through. 1: it had to be killed after two seconds. 2: no huge pages. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif

/* Runs `life` in a child for at most two seconds. Returns whether it ended by itself. */
static int ends(void (*life)(void))
{
	pid_t child = fork();
	int status;

	check(child, "fork");
	if (child == 0) {
		life();
		_exit(0);
	}
	for (int i = 0; i < 20; i++) {
		if (waitpid(child, &status, WNOHANG) == child) {
			if (status)
				exit(2); /* it could not be tried, and the child has said why */
			return 1;
		}
		usleep(100000);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

static void store(void)
{
	track(2 << 20, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, UFFD_FEATURE_WP_HUGETLBFS_SHMEM);
	enroll(UFFDIO_REGISTER_MODE_MISSING);
	memory[0] = 2;
}

int main(void)
{
	if (mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0) == MAP_FAILED) {
		perror("mmap of a huge page");
		return 2;
	}
	int returned = ends(store);

	printf("the write %s\n", returned ? "went through" : "did not get through in two seconds");
	return !returned;
}
