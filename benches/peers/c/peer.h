/* What the programs of this folder have in common: options, random numbers, allocation, the log of steps, and the result.
 *
 * A program reads from top to bottom: peer_open, parameters, build what lives, peer_begin, peer_step again and again, peer_end, check,
 * peer_close. What lies between begin and end is measured. The workloads are those of lab/src/bench/workloads, to the random number; what each
 * stands for is said there.
 *
 * One source makes each contestant. With PEER_LIBGC, object() and its like are libgc's and nothing is freed. Otherwise they are
 * malloc's, and what becomes garbage is freed by hand where a C programmer would; with PEER_MIMALLOC the program is linked with mimalloc, which takes
 * malloc's place. BY_HAND says which of the two it is, for what must be walked to be freed.
 *
 * The log of steps and all else that is not the program's own data comes from malloc in either case, where libgc does not look.
 */
#ifndef PEER_H
#define PEER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#if defined PEER_LIBGC
#define GC_THREADS
#include <gc.h>
#define BY_HAND false
#elif defined PEER_MIMALLOC
#include <mimalloc.h>
#define BY_HAND true
#else
#include <gnu/libc-version.h>
#define BY_HAND true
#endif

/* The program and its run; there is one of each. */
static struct {
    const char *contestant, *workload, *steps_file;
    char **options;
    int option_count;
    uint64_t opened, began, ended;
    uint64_t *steps, step_count, step_room;
    struct rusage usage;
    uint64_t cpu_user, cpu_kernel;
} peer;

enum { CHECK_FAILED = 1, OUT_OF_MEMORY = 2, BAD_USAGE = 64 };

__attribute__((noreturn, cold, format(printf, 2, 3))) static void peer_fail(int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s, %s: ", peer.workload, peer.contestant);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(status);
}

/* The check: what must hold at the end, or the run is none. */
#define require(condition, ...)                    \
    do {                                           \
        if (!(condition))                          \
            peer_fail(CHECK_FAILED, __VA_ARGS__);  \
    } while (0)

static inline uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline uint64_t microseconds(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

/* ---- Random numbers: SplitMix64, as lab/src/stress/random.rs draws them for thread 0. ---- */

struct random {
    uint64_t state;
};

static inline uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static inline struct random random_of(uint64_t seed) {
    return (struct random){mix(mix(seed))};
}

static inline uint64_t random_any(struct random *random) {
    random->state += 0x9e3779b97f4a7c15;
    return mix(random->state);
}

/* A number below n, which is not 0. */
static inline uint64_t random_below(struct random *random, uint64_t n) {
    return (uint64_t)((unsigned __int128)random_any(random) * n >> 64);
}

/* ---- The check value: everything that lives at the end, folded into one number in a given order. ---- */

static inline uint64_t fold(uint64_t hash, uint64_t x) {
    hash = (hash ^ x) * 0x9e3779b97f4a7c15;
    return hash << 23 | hash >> 41;
}

/* ---- Allocation. ---- */

static inline void *allocated(void *memory) {
    if (__builtin_expect(memory == NULL, 0))
        peer_fail(OUT_OF_MEMORY, "out of memory");
    return memory;
}

/* Memory that is no part of the work: the collector does not know it. */
static inline void *private_memory(size_t bytes) {
    return allocated(malloc(bytes ? bytes : 1));
}

/* An object with references. Every field is written by who asks for it. */
static inline void *object(size_t bytes) {
#ifdef PEER_LIBGC
    return allocated(GC_MALLOC(bytes));
#else
    return allocated(malloc(bytes));
#endif
}

/* An object without references, not cleared. */
static inline void *leaf(size_t bytes) {
#ifdef PEER_LIBGC
    return allocated(GC_MALLOC_ATOMIC(bytes));
#else
    return allocated(malloc(bytes));
#endif
}

/* An array of references, all null. */
static inline void *references(size_t length) {
#ifdef PEER_LIBGC
    return allocated(GC_MALLOC(length * sizeof(void *)));
#else
    return allocated(calloc(length, sizeof(void *)));
#endif
}

/* Nobody needs the object any longer. */
static inline void discard(void *memory) {
#ifdef PEER_LIBGC
    (void)memory;
#else
    free(memory);
#endif
}

/* The compiler must not see that nobody reads this memory, or it would leave the allocation out. */
static inline void *used(void *memory) {
    __asm__ volatile("" : "+r"(memory) : : "memory");
    return memory;
}

/* ---- Options: --NAME VALUE, in any order. ---- */

/* The value of an option, which is taken out of the list; null if it was not given. */
static const char *option(const char *name) {
    for (int i = 0; i + 1 < peer.option_count; i += 2) {
        const char *given = peer.options[i];
        if (given != NULL && strncmp(given, "--", 2) == 0 && strcmp(given + 2, name) == 0) {
            peer.options[i] = NULL;
            return peer.options[i + 1];
        }
    }
    return NULL;
}

static uint64_t number(const char *name, const char *text) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0')
        peer_fail(BAD_USAGE, "--%s needs a number, not %s", name, text);
    return value;
}

/* A parameter of the workload; it has to be given. */
static uint64_t parameter(const char *name) {
    const char *text = option(name);
    if (text == NULL)
        peer_fail(BAD_USAGE, "--%s is missing", name);
    return number(name, text);
}

/* ---- libgc: the heap it gets, and the pauses it tells of. ---- */

struct pauses {
    uint64_t *lengths, count, room, stopped;
};
static struct pauses pauses;

#ifdef PEER_LIBGC
/* The world is stopped between these two events. One thread allocates, so no lock is needed but the collector's own, which is held. */
static void GC_CALLBACK on_collection_event(GC_EventType event) {
    if (event == GC_EVENT_PRE_STOP_WORLD) {
        pauses.stopped = nanoseconds();
    } else if (event == GC_EVENT_POST_START_WORLD) {
        if (pauses.count == pauses.room) {
            pauses.room = pauses.room * 2 + 1024;
            pauses.lengths = allocated(realloc(pauses.lengths, pauses.room * sizeof *pauses.lengths));
        }
        pauses.lengths[pauses.count++] = nanoseconds() - pauses.stopped;
    }
}

/* A heap of a fixed size: as large as the limit from the beginning. */
static void open_collector(uint64_t heap) {
    bool incremental = strcmp(peer.contestant, "libgc-incremental") == 0;
    if (incremental) {
        /* As many markers as processors are the default of a library with parallel marking, which cannot be interrupted; so its time limit is
         * then "none", and increments would be whole collections. These are the values of a library without: one marker, 15 ms. */
        GC_set_markers_count(1);
        GC_INIT();
        GC_enable_incremental();
        GC_set_time_limit(15);
    } else {
        GC_INIT();
        /* Otherwise they would start with the program's second thread. */
        GC_start_mark_threads();
    }
    /* In a heap of a fixed size, running out of it is no failure before it has been collected. That is not worth a line each time. */
    GC_set_max_retries(1);
    GC_set_warn_proc(GC_ignore_warn_proc);
    if (heap > 0) {
        if (heap > GC_get_heap_size() && !GC_expand_hp(heap - GC_get_heap_size()))
            peer_fail(OUT_OF_MEMORY, "no heap of %llu bytes", (unsigned long long)heap);
        GC_set_max_heap_size(heap);
    }
    GC_set_on_collection_event(on_collection_event);
}
#endif

/* ---- The run. ---- */

static inline void peer_open(const char *workload, int argc, char **argv) {
    peer.opened = nanoseconds();
    peer.workload = workload;
    peer.contestant = argc > 1 ? argv[1] : "?";
    peer.options = argv + 2;
    peer.option_count = argc > 2 ? argc - 2 : 0;
    if (argc < 2 || peer.option_count % 2 != 0)
        peer_fail(BAD_USAGE, "usage: %s CONTESTANT [--NAME VALUE]...", argv[0]);
    /* The first --steps; a workload that has a parameter of this name gets a second one. */
    peer.steps_file = option("steps");
    const char *threads = option("threads"), *heap = option("heap");
    if (threads != NULL && number("threads", threads) != 1)
        peer_fail(BAD_USAGE, "these programs have one thread");
    option("live");
    uint64_t bytes = heap == NULL ? 0 : number("heap", heap);
    /* No huge pages, as in pagemark's heaps, whatever the machine's setting is. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
#ifdef PEER_LIBGC
    open_collector(bytes);
#else
    (void)bytes; /* malloc has no limit. */
#endif
}

/* From here on it is measured; `steps` steps will follow. */
static inline void peer_begin(uint64_t steps) {
    for (int i = 0; i < peer.option_count; i += 2)
        if (peer.options[i] != NULL)
            peer_fail(BAD_USAGE, "%s is not known here", peer.options[i]);
    peer.step_room = steps;
    peer.steps = private_memory(steps * sizeof *peer.steps);
    /* Its pages must be there, or the first write to each would be a stall of its own. */
    memset(peer.steps, 0, steps * sizeof *peer.steps);
    pauses.count = 0;
    getrusage(RUSAGE_SELF, &peer.usage);
    peer.began = nanoseconds();
}

/* A step is done. */
static inline void peer_step(void) {
    if (__builtin_expect(peer.step_count == peer.step_room, 0))
        peer_fail(CHECK_FAILED, "more steps than there should be");
    peer.steps[peer.step_count++] = nanoseconds() - peer.began;
}

/* Waits for a step that is due so many nanoseconds after the beginning, and not earlier. */
static inline void peer_wait_until(uint64_t due) {
    uint64_t now = nanoseconds() - peer.began;
    if (now < due) {
        uint64_t ahead = due - now;
        nanosleep(&(struct timespec){(time_t)(ahead / 1000000000), (long)(ahead % 1000000000)}, NULL);
    }
}

static inline void peer_end(void) {
    struct rusage usage;
    peer.ended = nanoseconds();
    getrusage(RUSAGE_SELF, &usage);
    peer.cpu_user = microseconds(usage.ru_utime) - microseconds(peer.usage.ru_utime);
    peer.cpu_kernel = microseconds(usage.ru_stime) - microseconds(peer.usage.ru_stime);
#ifdef PEER_LIBGC
    GC_set_on_collection_event(NULL);
#endif
}

static int ascending(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void print_pauses(void) {
#ifdef PEER_LIBGC
    uint64_t count = pauses.count;
    qsort(pauses.lengths, count, sizeof *pauses.lengths, ascending);
    /* The shortest pause that so many percent are not longer than. */
#define PERCENTILE(percent) (count == 0 ? 0.0 : (double)pauses.lengths[(count * (percent) + 99) / 100 - 1] / 1e6)
    printf("{\"count\":%llu,\"p50_ms\":%.6f,\"p99_ms\":%.6f,\"max_ms\":%.6f,\"each_ms\":[", (unsigned long long)count, PERCENTILE(50),
           PERCENTILE(99), PERCENTILE(100));
#undef PERCENTILE
    for (uint64_t i = 0; i < count; i++)
        printf("%s%.6f", i == 0 ? "" : ",", (double)pauses.lengths[i] / 1e6);
    printf("]}");
#else
    (void)ascending;
    printf("null");
#endif
}

static void print_version(void) {
#if defined PEER_LIBGC
    unsigned version = GC_get_version();
    printf("%u.%u.%u", version >> 16, version >> 8 & 255, version & 255);
    /* How the library finds out what was written is decided when it starts: the kernel's soft-dirty bits, or protected pages. */
    if (GC_is_incremental_mode())
        printf(" (%s)", GC_incremental_protection_needs() == GC_PROTECTS_NONE ? "soft-dirty" : "mprotect");
#elif defined PEER_MIMALLOC
    int version = mi_version();
    printf("%d.%d.%d", version / 100, version / 10 % 10, version % 10);
#else
    printf("glibc %s", gnu_get_libc_version());
#endif
}

/* Writes the steps and the result. The program's own check has passed. */
static inline int peer_close(uint64_t check) {
    if (peer.step_count != peer.step_room)
        peer_fail(CHECK_FAILED, "fewer steps than there should be");
    if (peer.steps_file != NULL) {
        FILE *file = fopen(peer.steps_file, "wb");
        bool written = file != NULL && fwrite(&peer.step_count, sizeof peer.step_count, 1, file) == 1 &&
                       fwrite(peer.steps, sizeof *peer.steps, peer.step_count, file) == peer.step_count;
        if (file == NULL || fclose(file) != 0 || !written)
            peer_fail(CHECK_FAILED, "cannot write %s", peer.steps_file);
    }
    printf("{\"peer\":\"%s\",\"version\":\"", peer.contestant);
    print_version();
    printf("\",\"workload\":\"%s\",\"setup_s\":%.6f,\"elapsed_s\":%.6f,\"check\":\"%llu\",\"cpu_user_s\":%.6f,\"cpu_kernel_s\":%.6f,\"pauses\":",
           peer.workload, (double)(peer.began - peer.opened) / 1e9, (double)(peer.ended - peer.began) / 1e9, (unsigned long long)check,
           (double)peer.cpu_user / 1e6, (double)peer.cpu_kernel / 1e6);
    print_pauses();
    printf("}\n");
    return 0;
}

#endif
