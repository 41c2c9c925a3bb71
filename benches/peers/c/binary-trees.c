/* binary-trees: short-lived trees of growing depth beside one that lives. See lab/src/bench/workloads/binary_trees.rs. */
#include "peer.h"

enum { LEAST = 4 };

struct node {
    struct node *left, *right;
};

static struct node *build(unsigned depth) {
    struct node *left = depth > 0 ? build(depth - 1) : NULL;
    struct node *right = depth > 0 ? build(depth - 1) : NULL;
    struct node *node = object(sizeof *node);
    *node = (struct node){left, right};
    return node;
}

static uint64_t count(const struct node *node) {
    return node == NULL ? 0 : 1 + count(node->left) + count(node->right);
}

static void free_tree(struct node *node) {
    if (node == NULL)
        return;
    free_tree(node->left);
    free_tree(node->right);
    discard(node);
}

/* Folds how many children each node has, in pre-order. */
static uint64_t fold_shape(const struct node *node, uint64_t hash) {
    if (node == NULL)
        return hash;
    hash = fold(hash, (node->left != NULL) + (node->right != NULL));
    hash = fold_shape(node->left, hash);
    return fold_shape(node->right, hash);
}

int main(int argc, char **argv) {
    peer_open("binary-trees", argc, argv);
    unsigned depth = (unsigned)parameter("depth");
    struct node *long_lived = build(depth);
    uint64_t steps = 0, wrong = 0;
    for (unsigned of = LEAST; of <= depth; of += 2)
        steps += UINT64_C(1) << (depth - of + LEAST);

    peer_begin(steps);
    for (unsigned of = LEAST; of <= depth; of += 2) {
        for (uint64_t left = UINT64_C(1) << (depth - of + LEAST); left > 0; left--) {
            struct node *tree = build(of);
            wrong += count(tree) != (UINT64_C(2) << of) - 1;
            if (BY_HAND)
                free_tree(tree);
            peer_step();
        }
    }
    peer_end();

    require(wrong == 0, "%llu trees had too few nodes", (unsigned long long)wrong);
    require(count(long_lived) == (UINT64_C(2) << depth) - 1, "the long-lived tree has not its nodes");
    return peer_close(fold_shape(long_lived, 0));
}
