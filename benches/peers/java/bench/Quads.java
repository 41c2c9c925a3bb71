package bench;

/** A big tree of nodes with four children lives, small ones die. */
final class Quads implements Workload {
    private static final int ROUNDS = 20;
    private static final int SMALL = 3;

    /** Four fields, as one object: an array of four would be another. */
    private record Quad(Quad a, Quad b, Quad c, Quad d) {}

    @Override
    public long run(Run run) throws WrongResult {
        int depth = run.size("depth");
        Quad big = tree(depth);
        long whippetHeap = nodes(depth) * 40 * run.value("factor") / 100;
        long small = (long) (whippetHeap / 7.5) / (nodes(SMALL) * 32);
        boolean right = true;

        run.begin(ROUNDS * (small + 1));
        for (int round = 0; round < ROUNDS; round++) {
            for (long i = 0; i < small; i++) {
                Garbage.drop(tree(SMALL));
                run.step();
            }
            right &= isFull(big, depth);
            run.step();
        }
        run.end();

        WrongResult.unless(right && isFull(big, depth), "the live tree is damaged");
        Fold fold = new Fold();
        fold(fold, big);
        return fold.value();
    }

    private static long nodes(int depth) {
        return ((4L << 2 * depth) - 1) / 3;
    }

    private static Quad tree(int depth) {
        if (depth == 0) {
            return new Quad(null, null, null, null);
        }
        return new Quad(tree(depth - 1), tree(depth - 1), tree(depth - 1), tree(depth - 1));
    }

    private static boolean isFull(Quad quad, int depth) {
        if (quad == null || depth == 0) {
            return quad != null && quad.a == null && quad.b == null && quad.c == null && quad.d == null;
        }
        return isFull(quad.a, depth - 1)
                && isFull(quad.b, depth - 1)
                && isFull(quad.c, depth - 1)
                && isFull(quad.d, depth - 1);
    }

    /** Takes in how many children each node has. */
    private static void fold(Fold fold, Quad quad) {
        if (quad != null) {
            fold.add(one(quad.a) + one(quad.b) + one(quad.c) + one(quad.d));
            fold(fold, quad.a);
            fold(fold, quad.b);
            fold(fold, quad.c);
            fold(fold, quad.d);
        }
    }

    private static int one(Quad child) {
        return child == null ? 0 : 1;
    }
}
