/* Punching a hole into shmem changes what armed pages hold, and PAGEMAP_SCAN goes on calling them not written.
 * cc -O1 -o t hole-punch-is-not-reported.c && ./t
 * Exit status 0: the page was reported, or did not change. 1: it changed and was not reported. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
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

#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
};

int main(void)
{
	uint64_t region[3] = { 0 };

	track(4096, MAP_SHARED | MAP_ANONYMOUS, UFFD_FEATURE_WP_HUGETLBFS_SHMEM | 1 << 15 /* WP_ASYNC */);
	check(madvise(memory, length, MADV_REMOVE), "MADV_REMOVE");

	struct scan scan = {
		.size = sizeof scan, .start = (unsigned long)memory, .end = (unsigned long)memory + length,
		.vec = (unsigned long)region, .vec_len = 1, .mask = 2 /* PAGE_IS_WRITTEN */, .returned = 2,
	};
	int found = ioctl(open("/proc/self/pagemap", O_RDONLY), _IOWR('f', 16, struct scan), &scan);
	check(found, "PAGEMAP_SCAN");
	int changed = memory[0] != 1;
	printf("content changed: %s; reported: %s\n", changed ? "yes" : "no", found ? "yes" : "no");
	return changed && !found;
}
