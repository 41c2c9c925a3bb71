/* Memory that was pinned before it was write-protected (here: a fixed buffer of io_uring) is stored to without an event, and
 * PAGEMAP_SCAN goes on calling it not written.
 * cc -O1 -o t pinned-memory-is-written-unseen.c && ./t
 * Exit status 0: the store was reported. 1: it was not. 2: no io_uring or no WP_ASYNC. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
};

static struct io_uring_params ring;
static int ring_fd;

static void *ring_part(off_t offset)
{
	void *part = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_fd, offset);

	check(part == MAP_FAILED ? -1 : 0, "mmap of the ring");
	return part;
}

int main(void)
{
	uint64_t region[3];
	char *queue;
	struct io_uring_sqe *entry;

	/* Pin first, then protect. */
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory[0] = 1;
	ring_fd = syscall(SYS_io_uring_setup, 1, &ring);
	check(ring_fd, "io_uring_setup");
	struct iovec buffer = { memory, 4096 };
	check(syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_BUFFERS, &buffer, 1), "IORING_REGISTER_BUFFERS");
	track(4096, 0, UFFD_FEATURE_WP_HUGETLBFS_SHMEM | 1 << 15 /* WP_ASYNC */);

	int source = memfd_create("source", 0);
	check(write(source, "2222", 4), "write");
	queue = ring_part(IORING_OFF_SQ_RING);
	entry = ring_part(IORING_OFF_SQES);
	*entry = (struct io_uring_sqe){ .opcode = IORING_OP_READ_FIXED, .fd = source, .addr = (unsigned long)memory, .len = 4 };
	((unsigned *)(queue + ring.sq_off.array))[0] = 0;
	__atomic_store_n((unsigned *)(queue + ring.sq_off.tail), 1, __ATOMIC_RELEASE);
	check(syscall(SYS_io_uring_enter, ring_fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), "io_uring_enter");

	struct scan scan = {
		.size = sizeof scan, .start = (unsigned long)memory, .end = (unsigned long)memory + length,
		.vec = (unsigned long)region, .vec_len = 1, .mask = 2 /* PAGE_IS_WRITTEN */, .returned = 2,
	};
	int found = ioctl(open("/proc/self/pagemap", O_RDONLY), _IOWR('f', 16, struct scan), &scan);
	check(found, "PAGEMAP_SCAN");
	printf("content changed: %s; reported: %s\n", memory[0] == '2' ? "yes" : "no", found ? "yes" : "no");
	return memory[0] == '2' && !found;
}
