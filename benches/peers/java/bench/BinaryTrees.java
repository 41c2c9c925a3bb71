package bench;

/** Short-lived trees beside a long-lived one, as in the benchmarks game. */
final class BinaryTrees implements Workload {
    private static final int LEAST = 4;

    private static final class Node {
        final Node left;
        final Node right;

        Node(Node left, Node right) {
            this.left = left;
            this.right = right;
        }
    }

    @Override
    public long run(Run run) throws WrongResult {
        int depth = run.size("depth");
        Node longLived = tree(depth);
        long steps = 0;
        for (int of = LEAST; of <= depth; of += 2) {
            steps += trees(depth, of);
        }
        long wrong = 0;

        run.begin(steps);
        for (int of = LEAST; of <= depth; of += 2) {
            for (long i = trees(depth, of); i > 0; i--) {
                if (count(tree(of)) != nodes(of)) {
                    wrong++;
                }
                run.step();
            }
        }
        run.end();

        WrongResult.unless(wrong == 0, "%d trees had too few nodes", wrong);
        WrongResult.unless(count(longLived) == nodes(depth), "the long-lived tree has too few nodes");
        Fold fold = new Fold();
        fold(fold, longLived);
        return fold.value();
    }

    /** As many of each depth as make the same number of nodes. */
    private static long trees(int depth, int of) {
        return 1L << depth - of + LEAST;
    }

    private static long nodes(int depth) {
        return (2L << depth) - 1;
    }

    private static Node tree(int depth) {
        if (depth == 0) {
            return new Node(null, null);
        }
        Node left = tree(depth - 1);
        return new Node(left, tree(depth - 1));
    }

    private static long count(Node node) {
        return node == null ? 0 : 1 + count(node.left) + count(node.right);
    }

    /** Takes in how many children each node has. */
    private static void fold(Fold fold, Node node) {
        if (node != null) {
            fold.add((node.left == null ? 0 : 1) + (node.right == null ? 0 : 1));
            fold(fold, node.left);
            fold(fold, node.right);
        }
    }
}
