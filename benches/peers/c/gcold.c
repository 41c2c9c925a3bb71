/* gcold: old trees that are replaced slowly and changed at a given rate. See lab/src/bench/workloads/gcold.rs. */
#include "tree.h"

enum { LEVELS = 10 };

/* A full tree whose nodes hold their height. */
static struct node *full(unsigned levels) {
    struct node *node = make_node(levels);
    if (levels > 1) {
        node->left = full(levels - 1);
        node->right = full(levels - 1);
    }
    return node;
}

static bool is_full(const struct node *node, unsigned levels) {
    if (levels == 0)
        return node == NULL;
    return node != NULL && node->value == levels && is_full(node->left, levels - 1) && is_full(node->right, levels - 1);
}

/* A place at the given depth of a random tree. */
static struct node **draw_place(struct node **table, uint64_t trees, unsigned depth, struct random *random) {
    struct node *tree = table[random_below(random, trees)];
    return descend(tree, depth, random_any(random));
}

int main(int argc, char **argv) {
    peer_open("gcold", argc, argv);
    uint64_t trees = parameter("size"), steps = parameter("steps"), dead = parameter("dead"), mutation = parameter("mutation");
    struct node **table = references(trees);
    for (uint64_t index = 0; index < trees; index++)
        table[index] = full(LEVELS);
    struct random random = random_of(1);

    peer_begin(steps);
    for (uint64_t step = 0; step < steps; step++) {
        for (uint64_t tree = 0; tree < dead; tree++) {
            struct node *dropped = used(full(LEVELS));
            if (BY_HAND)
                free_tree(dropped);
        }
        struct node *built = full(LEVELS), **place = &table[random_below(&random, trees)];
        if (BY_HAND)
            free_tree(*place);
        *place = built;
        for (uint64_t exchange = 0; exchange < mutation; exchange++) {
            unsigned depth = 1 + (unsigned)random_below(&random, LEVELS - 1);
            struct node **a = draw_place(table, trees, depth, &random);
            struct node **b = draw_place(table, trees, depth, &random);
            struct node *left = *a, *right = *b;
            *a = right;
            *b = left;
        }
        peer_step();
    }
    peer_end();

    uint64_t hash = 0;
    for (uint64_t index = 0; index < trees; index++) {
        require(is_full(table[index], LEVELS), "a tree is damaged");
        hash = fold_tree(table[index], hash);
    }
    return peer_close(hash);
}
