/* splay: a splay tree whose nodes carry small trees, rewritten at every access. See lab/src/bench/workloads/splay.rs. */
#include "peer.h"

enum { DEPTH = 5, NUMBERS = 80, TEXT = 46 };

/* An inner node has the first two, a leaf the others. */
struct payload {
    struct payload *left, *right;
    unsigned char *numbers, *text;
};

struct node {
    struct node *left, *right;
    struct payload *payload;
    uint64_t key;
};

struct tree {
    struct node *root;
};

static unsigned char *filled(size_t bytes, uint64_t key) {
    return memset(leaf(bytes), (int)(key & 255), bytes);
}

static struct payload *make_payload(unsigned depth, uint64_t key) {
    struct payload *payload = object(sizeof *payload);
    *payload = (struct payload){NULL, NULL, NULL, NULL};
    if (depth > 0) {
        payload->left = make_payload(depth - 1, key);
        payload->right = make_payload(depth - 1, key);
    } else {
        payload->numbers = filled(NUMBERS, key);
        payload->text = filled(TEXT, key);
    }
    return payload;
}

static void free_payload(struct payload *payload) {
    if (payload == NULL)
        return;
    free_payload(payload->left);
    free_payload(payload->right);
    discard(payload->numbers);
    discard(payload->text);
    discard(payload);
}

static void free_node(struct node *node) {
    if (BY_HAND)
        free_payload(node->payload);
    discard(node);
}

static bool is_filled(const unsigned char *bytes, size_t length, uint64_t key) {
    for (size_t byte = 0; byte < length; byte++)
        if (bytes[byte] != (unsigned char)key)
            return false;
    return true;
}

static bool is_payload(const struct payload *payload, unsigned depth, uint64_t key) {
    if (payload == NULL)
        return false;
    if (depth > 0)
        return is_payload(payload->left, depth - 1, key) && is_payload(payload->right, depth - 1, key);
    return is_filled(payload->numbers, NUMBERS, key) && is_filled(payload->text, TEXT, key);
}

/* Moves the node with the key, or a neighbour of where it would be, to the root: top-down, with the trees of smaller and of greater keys built as it
 * goes (Sleator and Tarjan 1985). Null only for an empty tree. */
static struct node *splay(struct node *root, uint64_t key) {
    if (root == NULL)
        return NULL;
    struct node *current = root, *all_smaller = NULL, *all_greater = NULL;
    /* Where the next tree of smaller, or greater, keys goes. */
    struct node **smaller = &all_smaller, **greater = &all_greater;
    while (key != current->key) {
        if (key < current->key) {
            struct node *left = current->left;
            if (left == NULL)
                break;
            if (key < left->key) {
                current->left = left->right;
                left->right = current;
                current = left;
                left = current->left;
                if (left == NULL)
                    break;
            }
            *greater = current;
            greater = &current->left;
            current = left;
        } else {
            struct node *right = current->right;
            if (right == NULL)
                break;
            if (key > right->key) {
                current->right = right->left;
                right->left = current;
                current = right;
                right = current->right;
                if (right == NULL)
                    break;
            }
            *smaller = current;
            smaller = &current->right;
            current = right;
        }
    }
    *smaller = current->left;
    *greater = current->right;
    current->left = all_smaller;
    current->right = all_greater;
    return current;
}

/* Puts a new node in; false if its key is there already. As in Octane the tree is first asked for the key, and both that and putting it in splay; the
 * second time, the neighbour on the other side gets to the root. */
static bool insert(struct tree *tree, uint64_t key) {
    struct node *node = object(sizeof *node);
    *node = (struct node){NULL, NULL, NULL, key};
    node->payload = make_payload(DEPTH, key);
    tree->root = splay(tree->root, key);
    if (tree->root != NULL && tree->root->key == key) {
        free_node(node);
        return false;
    }
    struct node *root = splay(tree->root, key);
    if (root != NULL && key > root->key) {
        node->left = root;
        node->right = root->right;
        root->right = NULL;
    } else if (root != NULL) {
        node->right = root;
        node->left = root->left;
        root->left = NULL;
    }
    tree->root = node;
    return true;
}

/* Takes out the node with the greatest key below `key`, which is the root's, or `key` itself if it is the least. Returns the key. */
static uint64_t take_below(struct tree *tree, uint64_t key) {
    struct node *root = splay(tree->root, key), *greatest = root->left;
    while (greatest != NULL && greatest->right != NULL)
        greatest = greatest->right;
    uint64_t taken = greatest == NULL ? key : greatest->key;
    root = splay(root, taken);
    /* What is left of it has only smaller keys, so splaying that for the same key leaves its root without a right subtree. */
    struct node *left = splay(root->left, taken);
    if (left != NULL)
        left->right = root->right;
    tree->root = left != NULL ? left : root->right;
    free_node(root);
    return taken;
}

static uint64_t fold_leaves(const struct payload *payload, unsigned depth, uint64_t hash) {
    if (depth == 0)
        return fold(fold(hash, payload->numbers[0]), payload->text[0]);
    hash = fold_leaves(payload->left, depth - 1, hash);
    return fold_leaves(payload->right, depth - 1, hash);
}

int main(int argc, char **argv) {
    peer_open("splay", argc, argv);
    uint64_t nodes = parameter("size"), requests = parameter("requests"), sum = 0, size = 0;
    struct random random = random_of(1);
    struct tree *tree = object(sizeof *tree);
    tree->root = NULL;
    while (size < nodes) {
        uint64_t key = random_any(&random);
        if (insert(tree, key)) {
            sum += key;
            size++;
        }
    }

    peer_begin(requests);
    for (uint64_t request = 0; request < requests; request++) {
        uint64_t key = random_any(&random);
        if (insert(tree, key))
            sum += key - take_below(tree, key);
        peer_step();
    }
    peer_end();

    /* A splay tree can be as deep as it has nodes, so the walk has a stack of its own. */
    struct node **stack = private_memory((nodes + 1) * sizeof *stack), *next = tree->root;
    uint64_t depth = 0, count = 0, found = 0, last = 0, hash = 0;
    for (;;) {
        for (; next != NULL; next = next->left) {
            require(depth <= nodes, "the tree has too many nodes");
            stack[depth++] = next;
        }
        if (depth == 0)
            break;
        struct node *node = stack[--depth];
        require(count == 0 || node->key > last, "a key is not in its place");
        require(is_payload(node->payload, DEPTH, node->key), "a payload is damaged");
        hash = fold_leaves(node->payload, DEPTH, fold(hash, node->key));
        last = node->key;
        found += node->key;
        count++;
        next = node->right;
    }
    require(count == nodes && found == sum, "the keys do not add up");
    return peer_close(hash);
}
