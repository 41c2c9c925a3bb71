/* lru: a cache of the entries used last, asked for keys as people ask. See lab/src/bench/workloads/lru.rs. */
#include "peer.h"

#include <math.h>

enum { KEYS = 16, VALUE = 256, UNIVERSE = 4 };
static const double EXPONENT = 0.99;

struct entry {
    struct entry *chain, *newer, *older;
    unsigned char *value;
    uint64_t key;
};

struct cache {
    struct entry *newest, *oldest, **table;
    uint64_t mask;
};

static struct entry **bucket(struct cache *cache, uint64_t key) {
    return &cache->table[key >> 32 & cache->mask];
}

static struct entry *find(struct cache *cache, uint64_t key) {
    struct entry *entry = *bucket(cache, key);
    while (entry != NULL && entry->key != key)
        entry = entry->chain;
    return entry;
}

static void link_newest(struct cache *cache, struct entry *entry) {
    struct entry *newest = cache->newest;
    entry->newer = NULL;
    entry->older = newest;
    if (newest != NULL)
        newest->newer = entry;
    else
        cache->oldest = entry;
    cache->newest = entry;
}

static void unlink_entry(struct cache *cache, struct entry *entry) {
    struct entry *newer = entry->newer, *older = entry->older;
    *(newer != NULL ? &newer->older : &cache->newest) = older;
    *(older != NULL ? &older->newer : &cache->oldest) = newer;
}

/* Puts in a key that is not there, as the newest. */
static void put(struct cache *cache, uint64_t key) {
    struct entry *entry = object(sizeof *entry), **place = bucket(cache, key);
    *entry = (struct entry){*place, NULL, NULL, NULL, key};
    entry->value = leaf(VALUE);
    for (size_t byte = 0; byte < VALUE; byte += sizeof key)
        memcpy(entry->value + byte, &key, sizeof key);
    *place = entry;
    link_newest(cache, entry);
}

static void drop_oldest(struct cache *cache) {
    struct entry *oldest = cache->oldest, **place = bucket(cache, oldest->key);
    unlink_entry(cache, oldest);
    while (*place != oldest)
        place = &(*place)->chain;
    *place = oldest->chain;
    discard(oldest->value);
    discard(oldest);
}

static bool has_value(const struct entry *entry) {
    for (size_t byte = 0; byte < VALUE; byte += sizeof entry->key)
        if (memcmp(entry->value + byte, &entry->key, sizeof entry->key) != 0)
            return false;
    return true;
}

/* Keys of neighbouring ranks are nowhere near each other. */
static uint64_t key_of(uint64_t rank) {
    return (rank + 1) * 0x9e3779b97f4a7c15;
}

/* Zipf's distribution over ranks from 0, after Gray and others (SIGMOD 1994). */
struct zipf {
    uint64_t ranks;
    double zeta, eta;
};

static double zeta(uint64_t n) {
    double sum = 0;
    for (uint64_t i = 1; i <= n; i++)
        sum += pow((double)i, -EXPONENT);
    return sum;
}

static struct zipf zipf_over(uint64_t ranks) {
    double all = zeta(ranks);
    double eta = (1.0 - pow(2.0 / (double)ranks, 1.0 - EXPONENT)) / (1.0 - zeta(2) / all);
    return (struct zipf){ranks, all, eta};
}

static uint64_t draw_rank(const struct zipf *zipf, struct random *random) {
    double uniform = (double)(random_any(random) >> 11) / (double)(UINT64_C(1) << 53);
    double scaled = uniform * zipf->zeta;
    if (scaled < 1.0)
        return 0;
    if (scaled < 1.0 + pow(0.5, EXPONENT))
        return 1;
    uint64_t rank = (uint64_t)((double)zipf->ranks * pow(zipf->eta * uniform - zipf->eta + 1.0, 1.0 / (1.0 - EXPONENT)));
    return rank < zipf->ranks ? rank : zipf->ranks - 1;
}

int main(int argc, char **argv) {
    peer_open("lru", argc, argv);
    uint64_t size = parameter("size"), requests = parameter("requests"), buckets = 1;
    while (buckets < size)
        buckets *= 2;
    struct cache *cache = object(sizeof *cache);
    *cache = (struct cache){NULL, NULL, NULL, buckets - 1};
    cache->table = references(buckets);
    struct zipf zipf = zipf_over(size * UNIVERSE);
    struct random random = random_of(1);
    for (uint64_t rank = 0; rank < size; rank++)
        put(cache, key_of(rank));
    uint64_t damaged = 0;

    peer_begin(requests);
    for (uint64_t request = 0; request < requests; request++) {
        for (int asked = 0; asked < KEYS; asked++) {
            uint64_t key = key_of(draw_rank(&zipf, &random));
            struct entry *entry = find(cache, key);
            if (entry != NULL) {
                damaged += !has_value(entry);
                unlink_entry(cache, entry);
                link_newest(cache, entry);
            } else {
                put(cache, key);
                drop_oldest(cache);
            }
        }
        peer_step();
    }
    peer_end();

    require(damaged == 0, "a key was answered with another's value");
    uint64_t count = 0, hash = 0;
    const struct entry *newer = NULL;
    for (const struct entry *entry = cache->newest; entry != NULL; entry = entry->older) {
        require(entry->newer == newer && find(cache, entry->key) == entry && has_value(entry), "an entry is damaged");
        uint64_t first;
        memcpy(&first, entry->value, sizeof first);
        hash = fold(fold(hash, entry->key), first);
        newer = entry;
        count++;
    }
    require(cache->oldest == newer && count == size, "the list has not its entries");
    return peer_close(hash);
}
