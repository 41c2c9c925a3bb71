package bench;

/** {@code mt-gcbench}: GCBench with holes. */
final class MtGcBench implements Workload {
    private static final int LEAST = 4;

    private static final class Node {
        Node left;
        Node right;
        int i;
        int j;
    }

    /** Lengths of dead objects in words, used in turn. */
    private final int[] holes = new int[256];

    private int nextHole;

    @Override
    public long run(Run run) throws WrongResult {
        int depth = run.size("depth");
        int numbers = run.size("numbers");
        SplitMix random = new SplitMix(256, 0);
        for (int i = 0; i < holes.length; i++) {
            while (random.below(100) >= 15) {
                holes[i]++;
            }
        }
        Node longLived = topDown(depth);
        double[] array = new double[numbers];
        for (int i = 0; i < numbers / 2; i++) {
            array[i] = 1.0 / i;
        }
        long steps = 0;
        for (int of = LEAST; of <= depth; of += 2) {
            steps += 2 * trees(depth, of);
        }
        boolean right = true;

        run.begin(steps);
        for (int of = LEAST; of <= depth; of += 2) {
            for (long i = trees(depth, of); i > 0; i--) {
                right &= isTree(topDown(of), of);
                run.step();
            }
            for (long i = trees(depth, of); i > 0; i--) {
                right &= isTree(bottomUp(of), of);
                run.step();
            }
        }
        run.end();

        WrongResult.unless(right && isTree(longLived, depth), "a tree is damaged");
        Fold fold = new Fold();
        fold(fold, longLived);
        for (int i = 0; i < numbers / 2; i++) {
            WrongResult.unless(array[i] == 1.0 / i, "the array is damaged");
            fold.add(Double.doubleToRawLongBits(array[i]));
        }
        return fold.value();
    }

    /** As many of each depth as make about the same number of nodes. */
    private static long trees(int depth, int of) {
        return 2 * nodes(depth + 2) / nodes(of);
    }

    private static long nodes(int depth) {
        return (2L << depth) - 1;
    }

    /** Allocates a dead object, or none where its length would be 0. It has room for references, which are null. */
    private void dig() {
        int length = holes[nextHole];
        nextHole = (nextHole + 1) % holes.length;
        if (length > 0) {
            Garbage.drop(new Node[length]);
        }
    }

    /** Makes a node first, then what is below it. */
    private Node topDown(int depth) {
        Node top = new Node();
        below(top, depth);
        return top;
    }

    private void below(Node top, int depth) {
        if (depth == 0) {
            return;
        }
        dig();
        Node left = new Node();
        dig();
        Node right = new Node();
        top.left = left;
        top.right = right;
        top.j = depth;
        below(left, depth - 1);
        below(right, depth - 1);
    }

    /** Makes children first. */
    private Node bottomUp(int depth) {
        if (depth == 0) {
            return new Node();
        }
        Node left = bottomUp(depth - 1);
        Node right = bottomUp(depth - 1);
        dig();
        Node node = new Node();
        node.left = left;
        node.right = right;
        node.j = depth;
        return node;
    }

    private static boolean isTree(Node node, int depth) {
        if (node == null || node.i != 0 || node.j != depth) {
            return false;
        }
        if (depth == 0) {
            return node.left == null && node.right == null;
        }
        return isTree(node.left, depth - 1) && isTree(node.right, depth - 1);
    }

    private static void fold(Fold fold, Node node) {
        if (node != null) {
            fold.add(node.j);
            fold(fold, node.left);
            fold(fold, node.right);
        }
    }
}
