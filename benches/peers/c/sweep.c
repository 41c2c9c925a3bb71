/* sweep: allocation at a given rate, whether or not the last request is done. See lab/src/bench/workloads/sweep.rs. */
#include "peer.h"

#include <math.h>

enum { GROUP = 512, BODY = 240, OBJECT_BYTES = 288, REQUEST = (64 << 10) / OBJECT_BYTES };

struct item {
    unsigned char *body;
    uint64_t value;
};

/* An object whose body is filled with the low byte of its value. */
static struct item *make_item(uint64_t value) {
    struct item *item = object(sizeof *item);
    *item = (struct item){NULL, value};
    item->body = memset(leaf(BODY), (int)(value & 255), BODY);
    return item;
}

static struct item **place(struct item ***groups, uint64_t at) {
    return &groups[at / GROUP][at % GROUP];
}

int main(int argc, char **argv) {
    peer_open("sweep", argc, argv);
    uint64_t objects = parameter("size"), shuffle = parameter("shuffle");
    double rate = (double)parameter("rate") * (double)(1 << 20), seconds = (double)parameter("seconds");
    struct item ***groups = references((objects + GROUP - 1) / GROUP);
    uint64_t sum = 0;
    for (uint64_t at = 0; at < objects; at++) {
        if (at % GROUP == 0)
            groups[at / GROUP] = references(GROUP);
        *place(groups, at) = make_item(at);
        sum += at;
    }
    struct random random = random_of(1);
    double between = (double)(REQUEST * OBJECT_BYTES) / rate * 1e9;
    uint64_t requests = (uint64_t)ceil(seconds * 1e9 / between);

    peer_begin(requests);
    for (uint64_t request = 0; request < requests; request++) {
        peer_wait_until((uint64_t)((double)request * between));
        for (int todo = REQUEST; todo > 0; todo--) {
            uint64_t value = random_any(&random);
            struct item *new = make_item(value), **old = place(groups, random_below(&random, objects));
            sum += value - (*old)->value;
            discard((*old)->body);
            discard(*old);
            *old = new;
            if (random_below(&random, shuffle) == 0) {
                struct item **a = place(groups, random_below(&random, objects));
                struct item **b = place(groups, random_below(&random, objects));
                struct item *left = *a, *right = *b;
                *a = right;
                *b = left;
            }
        }
        peer_step();
    }
    peer_end();

    uint64_t found = 0, hash = 0;
    for (uint64_t at = 0; at < objects; at++) {
        const struct item *item = *place(groups, at);
        for (int byte = 0; byte < BODY; byte++)
            require(item->body[byte] == (unsigned char)item->value, "an object is damaged");
        found += item->value;
        hash = fold(fold(hash, item->value), item->body[0]);
    }
    require(found == sum, "the objects do not add up");
    return peer_close(hash);
}
