/* Trees of nodes with two children and a value: for churn and gcold. */
#ifndef TREE_H
#define TREE_H

#include "peer.h"

struct node {
    struct node *left, *right;
    uint64_t value;
};

static inline struct node *make_node(uint64_t value) {
    struct node *node = object(sizeof *node);
    *node = (struct node){NULL, NULL, value};
    return node;
}

static void free_tree(struct node *node) {
    if (node == NULL)
        return;
    free_tree(node->left);
    free_tree(node->right);
    discard(node);
}

/* The field that the low bits of `path` lead to, `levels` levels below the node. */
static inline struct node **descend(struct node *node, unsigned levels, uint64_t path) {
    for (unsigned level = 0; level < levels - 1; level++)
        node = path >> level & 1 ? node->right : node->left;
    return path >> (levels - 1) & 1 ? &node->right : &node->left;
}

/* Folds the values in pre-order: a node, then what is left of it, then what is right. */
static uint64_t fold_tree(const struct node *node, uint64_t hash) {
    if (node == NULL)
        return hash;
    hash = fold(hash, node->value);
    hash = fold_tree(node->left, hash);
    return fold_tree(node->right, hash);
}

#endif
