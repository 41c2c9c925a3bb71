/* quads: a big tree of nodes with four children lives, small ones die. See lab/src/bench/workloads/quads.rs. */
#include "peer.h"

enum { SMALL = 3, ROUNDS = 20 };

struct quad {
    struct quad *children[4];
};

static struct quad *build(unsigned depth) {
    struct quad *children[4] = {NULL, NULL, NULL, NULL};
    for (int child = 0; depth > 0 && child < 4; child++)
        children[child] = build(depth - 1);
    struct quad *quad = object(sizeof *quad);
    memcpy(quad->children, children, sizeof children);
    return quad;
}

static void free_quads(struct quad *quad) {
    for (int child = 0; child < 4; child++)
        if (quad->children[child] != NULL)
            free_quads(quad->children[child]);
    discard(quad);
}

static bool is_full(const struct quad *quad, unsigned depth) {
    for (int child = 0; child < 4; child++) {
        const struct quad *below = quad->children[child];
        if (depth == 0 ? below != NULL : below == NULL || !is_full(below, depth - 1))
            return false;
    }
    return true;
}

/* Folds how many children each node has, in pre-order. */
static uint64_t fold_shape(const struct quad *quad, uint64_t hash) {
    unsigned children = 0;
    for (int child = 0; child < 4; child++)
        children += quad->children[child] != NULL;
    hash = fold(hash, children);
    for (int child = 0; child < 4; child++)
        if (quad->children[child] != NULL)
            hash = fold_shape(quad->children[child], hash);
    return hash;
}

static uint64_t nodes(unsigned depth) {
    return ((UINT64_C(4) << (2 * depth)) - 1) / 3;
}

int main(int argc, char **argv) {
    peer_open("quads", argc, argv);
    unsigned depth = (unsigned)parameter("depth");
    uint64_t whippet_heap = nodes(depth) * 40 * parameter("factor") / 100;
    uint64_t small = (uint64_t)((double)whippet_heap / 7.5) / (nodes(SMALL) * 32);
    struct quad *big = build(depth);
    bool right = true;

    peer_begin(ROUNDS * (small + 1));
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t tree = 0; tree < small; tree++) {
            struct quad *dropped = used(build(SMALL));
            if (BY_HAND)
                free_quads(dropped);
            peer_step();
        }
        right &= is_full(big, depth);
        peer_step();
    }
    peer_end();

    require(right && is_full(big, depth), "the live tree is damaged");
    return peer_close(fold_shape(big, 0));
}
