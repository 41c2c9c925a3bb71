/* mt-gcbench: GCBench with holes. See lab/src/bench/workloads/mt_gcbench.rs. */
#include "peer.h"

/* SEED is that of the holes' lengths; one of WALKED trees is walked when it is built. */
enum { LEAST = 4, LENGTHS = 256, SEED = 5643, WALKED = 16 };

struct node {
    struct node *left, *right;
    uint32_t i, j;
};

/* Lengths of dead objects in words, in turn. */
static unsigned hole_lengths[LENGTHS];
static uint64_t next_hole;

static void draw_holes(void) {
    struct random random = random_of(SEED);
    for (int hole = 0; hole < LENGTHS; hole++)
        while (random_below(&random, 100) >= 15)
            hole_lengths[hole]++;
}

/* Allocates a dead object, or none where its length would be 0. By hand it is freed at once, and leaves no hole. */
static void dig(void) {
    unsigned length = hole_lengths[next_hole++ % LENGTHS];
    if (length > 0)
        discard(used(references(length)));
}

static struct node *make_node(void) {
    struct node *node = object(sizeof *node);
    *node = (struct node){NULL, NULL, 0, 0};
    return node;
}

static void fill(struct node *node, unsigned depth) {
    if (depth == 0)
        return;
    dig();
    struct node *left = make_node();
    dig();
    struct node *right = make_node();
    node->left = left;
    node->right = right;
    node->j = depth;
    fill(node->left, depth - 1);
    fill(node->right, depth - 1);
}

/* A node first, then what is below it. */
static struct node *top_down(unsigned depth) {
    struct node *node = make_node();
    fill(node, depth);
    return node;
}

/* Children first. */
static struct node *bottom_up(unsigned depth) {
    if (depth == 0)
        return make_node();
    struct node *left = bottom_up(depth - 1);
    struct node *right = bottom_up(depth - 1);
    dig();
    struct node *node = make_node();
    *node = (struct node){left, right, 0, depth};
    return node;
}

static void free_tree(struct node *node) {
    if (node == NULL)
        return;
    free_tree(node->left);
    free_tree(node->right);
    discard(node);
}

static bool is_tree(const struct node *node, unsigned depth) {
    if (node == NULL || node->i != 0 || node->j != depth)
        return false;
    if (depth == 0)
        return node->left == NULL && node->right == NULL;
    return is_tree(node->left, depth - 1) && is_tree(node->right, depth - 1);
}

/* Folds the depth that each node holds, in pre-order. */
static uint64_t fold_depths(const struct node *node, uint64_t hash) {
    if (node == NULL)
        return hash;
    hash = fold(hash, node->j);
    hash = fold_depths(node->left, hash);
    return fold_depths(node->right, hash);
}

static uint64_t nodes(unsigned depth) {
    return (UINT64_C(2) << depth) - 1;
}

int main(int argc, char **argv) {
    peer_open("mt-gcbench", argc, argv);
    unsigned depth = (unsigned)parameter("depth");
    uint64_t numbers = parameter("numbers"), steps = 0;
    draw_holes();
    struct node *long_lived = top_down(depth);
    double *array = leaf(numbers * sizeof *array);
    for (uint64_t i = 0; i < numbers; i++)
        array[i] = i < numbers / 2 ? 1.0 / (double)i : 0.0;
    bool right = true;
    for (unsigned of = LEAST; of <= depth; of += 2)
        steps += 2 * (2 * nodes(depth + 2) / nodes(of));

    peer_begin(steps);
    for (unsigned of = LEAST; of <= depth; of += 2) {
        uint64_t trees = 2 * nodes(depth + 2) / nodes(of);
        for (uint64_t tree = 0; tree < 2 * trees; tree++) {
            struct node *built = used(tree < trees ? top_down(of) : bottom_up(of));
            if (tree % trees % WALKED == 0)
                right &= is_tree(built, of);
            if (BY_HAND)
                free_tree(built);
            peer_step();
        }
    }
    peer_end();

    require(right && is_tree(long_lived, depth), "a tree is damaged");
    uint64_t hash = fold_depths(long_lived, 0);
    for (uint64_t i = 0; i < numbers / 2; i++) {
        require(array[i] == 1.0 / (double)i, "the array is damaged");
        uint64_t bits;
        memcpy(&bits, &array[i], sizeof bits);
        hash = fold(hash, bits);
    }
    return peer_close(hash);
}
