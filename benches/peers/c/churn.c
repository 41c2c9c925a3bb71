/* churn: a big tree lives, small trees die, and some of them move in. See lab/src/bench/workloads/churn.rs. */
#include "tree.h"

enum { SMALL = 11 };

static struct node *build(unsigned levels, uint64_t value) {
    struct node *node = make_node(value);
    if (levels > 1) {
        node->left = build(levels - 1, value);
        node->right = build(levels - 1, value);
    }
    return node;
}

static uint64_t count(const struct node *node) {
    return node == NULL ? 0 : 1 + count(node->left) + count(node->right);
}

static bool holds_only(const struct node *node, uint64_t value) {
    return node == NULL || (node->value == value && holds_only(node->left, value) && holds_only(node->right, value));
}

int main(int argc, char **argv) {
    peer_open("churn", argc, argv);
    unsigned levels = (unsigned)parameter("levels"), top = levels - SMALL;
    uint64_t trees = parameter("trees");
    struct node *tree = build(top, UINT64_MAX);
    for (uint64_t path = 0; path < UINT64_C(1) << top; path++)
        *descend(tree, top, path) = build(SMALL, path);
    struct random random = random_of(1);

    peer_begin(trees);
    for (uint64_t number = 0; number < trees; number++) {
        uint64_t path = random_any(&random);
        struct node *dropped = build(SMALL, number);
        if (number % 16 == 15) {
            struct node **place = descend(tree, top, path), *built = dropped;
            dropped = *place;
            *place = built;
        }
        if (BY_HAND)
            free_tree(dropped);
        peer_step();
    }
    peer_end();

    require(count(tree) == (UINT64_C(1) << levels) - 1, "the live tree has not its nodes");
    for (uint64_t path = 0; path < UINT64_C(1) << top; path++) {
        const struct node *subtree = *descend(tree, top, path);
        require(count(subtree) == (1 << SMALL) - 1 && holds_only(subtree, subtree->value), "a subtree is damaged");
    }
    return peer_close(fold_tree(tree, 0));
}
