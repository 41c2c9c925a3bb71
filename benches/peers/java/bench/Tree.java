package bench;

/** A binary tree whose nodes hold a number. */
final class Tree {
    /** Levels of churn's short-lived trees, of 2,047 nodes. */
    static final int SMALL = 11;

    Tree left;
    Tree right;
    final long value;

    private Tree(long value) {
        this.value = value;
    }

    /** A full tree of one value: a node first, then what is below it. */
    static Tree of(int levels, long value) {
        Tree tree = new Tree(value);
        if (levels > 1) {
            tree.left = of(levels - 1, value);
            tree.right = of(levels - 1, value);
        }
        return tree;
    }

    /** The same, but each node holds its height. */
    static Tree ofHeights(int levels) {
        Tree tree = new Tree(levels);
        if (levels > 1) {
            tree.left = ofHeights(levels - 1);
            tree.right = ofHeights(levels - 1);
        }
        return tree;
    }

    /** The subtree that the low bits of a path lead to, so many levels below. */
    Tree get(int levels, long path) {
        Tree tree = this;
        for (int level = 0; level < levels; level++) {
            tree = isLeft(path, level) ? tree.left : tree.right;
        }
        return tree;
    }

    /** Replaces the subtree that the path leads to. */
    void set(int levels, long path, Tree subtree) {
        Tree parent = get(levels - 1, path);
        if (isLeft(path, levels - 1)) {
            parent.left = subtree;
        } else {
            parent.right = subtree;
        }
    }

    private static boolean isLeft(long path, int level) {
        return (path >>> level & 1) == 0;
    }

    static long count(Tree tree) {
        return tree == null ? 0 : 1 + count(tree.left) + count(tree.right);
    }

    /** Whether a tree is full, and every node has the value. */
    static boolean holds(Tree tree, int levels, long value) {
        if (tree == null) {
            return levels == 0;
        }
        return levels > 0
                && tree.value == value
                && holds(tree.left, levels - 1, value)
                && holds(tree.right, levels - 1, value);
    }

    /** Whether a tree is full, and every node holds its height. */
    static boolean holdsHeights(Tree tree, int levels) {
        if (tree == null) {
            return levels == 0;
        }
        return levels > 0
                && tree.value == levels
                && holdsHeights(tree.left, levels - 1)
                && holdsHeights(tree.right, levels - 1);
    }

    /** Folds the values in pre-order. */
    static void fold(Fold fold, Tree tree) {
        if (tree != null) {
            fold.add(tree.value);
            fold(fold, tree.left);
            fold(fold, tree.right);
        }
    }
}
