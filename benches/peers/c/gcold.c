/* gcold: old trees that are replaced slowly and changed at a given rate. See lab/src/bench/workloads/gcold.rs. */
#include "tree.h"

/* Bytes of dead arrays in a step and in one of them; as few bytes as INSIGNIFICANT are not made old; NODE is a node's in the arithmetic. */
enum { STEP = 1000000, ARRAY = 400, INSIGNIFICANT = 999, NODE = 32 };

/* The table of old trees; how many were made, and where the next goes. */
struct old {
    struct node **table;
    uint64_t trees, made, next;
    unsigned levels;
};

static uint64_t tree_bytes(unsigned levels) {
    return ((UINT64_C(1) << levels) - 1) * NODE;
}

/* A full tree, the `number`th that is made. Each node holds its height below that. */
static struct node *full(unsigned height, uint64_t number) {
    struct node *node = make_node(number << 8 | height);
    if (height > 1) {
        node->left = full(height - 1, number);
        node->right = full(height - 1, number);
    }
    return node;
}

/* Makes a tree and puts it in the place of a whole one, or of a subtree of its height: left and right in turn, first left if the height is even. */
static void put(struct old *old, unsigned height) {
    struct node *tree = full(height, old->made), **place = &old->table[old->next];
    if (height < old->levels)
        place = descend(*place, old->levels - height, height % 2 == 0 ? 0xaaaaaaaaaaaaaaaa : 0x5555555555555555);
    if (BY_HAND)
        free_tree(*place);
    *place = tree;
    old->made++;
    old->next = (old->next + 1) % old->trees;
}

/* Exchanges what lies at the same place in two trees; it may be nothing, below a leaf. */
static void exchange(struct old *old, struct random *random) {
    struct node *one = old->table[random_below(random, old->trees)];
    struct node *other = old->table[random_below(random, old->trees)];
    unsigned depth = 1 + (unsigned)random_below(random, old->levels);
    uint64_t path = random_any(random);
    struct node **a = descend(one, depth, path), **b = descend(other, depth, path);
    struct node *left = *a, *right = *b;
    *a = right;
    *b = left;
}

static bool is_full(const struct node *node, unsigned height) {
    if (height == 0)
        return node == NULL;
    return node != NULL && (node->value & 0xff) == height && is_full(node->left, height - 1) && is_full(node->right, height - 1);
}

int main(int argc, char **argv) {
    peer_open("gcold", argc, argv);
    uint64_t trees = parameter("size"), steps = parameter("steps");
    unsigned levels = (unsigned)parameter("levels");
    uint64_t old_bytes = STEP / parameter("ratio"), mutation = parameter("mutation");
    struct old old = {references(trees), trees, 0, 0, levels};
    for (uint64_t tree = 0; tree < trees; tree++)
        put(&old, levels);
    struct random random = random_of(1);

    peer_begin(steps);
    for (uint64_t step = 0; step < steps; step++) {
        for (int array = 0; array < STEP / ARRAY; array++)
            discard(used(leaf(ARRAY)));
        for (uint64_t whole = old_bytes / tree_bytes(levels); whole > 0; whole--)
            put(&old, levels);
        uint64_t left = old_bytes % tree_bytes(levels), written = 0;
        while (left > INSIGNIFICANT) {
            /* The largest that fits. */
            unsigned height = 1;
            while (tree_bytes(height + 1) <= left)
                height++;
            put(&old, height);
            left -= tree_bytes(height);
            written++;
        }
        for (uint64_t times = mutation > written ? (mutation - written) / 2 : 0; times > 0; times--)
            exchange(&old, &random);
        peer_step();
    }
    peer_end();

    uint64_t hash = 0;
    for (uint64_t tree = 0; tree < trees; tree++) {
        require(is_full(old.table[tree], levels), "a tree is damaged");
        hash = fold_tree(old.table[tree], hash);
    }
    return peer_close(hash);
}
