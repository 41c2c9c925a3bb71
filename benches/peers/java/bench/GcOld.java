package bench;

/** A heap of old trees, with the rate at which they are changed as a parameter. */
final class GcOld implements Workload {
    /** Bytes of dead arrays in a step. */
    private static final int DEAD = 1_000_000;
    /** Bytes in such an array. */
    private static final int ARRAY = 400;
    /** As few bytes as this are not made old. */
    private static final int INSIGNIFICANT = 999;
    /** What a node is in pagemark's heap; what gets old is counted in these everywhere. */
    private static final int NODE_BYTES = 32;

    private Tree[] table;
    private int levels;

    /** Trees made, which numbers them; and where the next goes. */
    private long made;

    private int next;

    @Override
    public long run(Run run) throws WrongResult {
        table = new Tree[run.size("size")];
        levels = run.size("levels");
        long steps = run.value("steps");
        long mutation = run.value("mutation");
        long oldBytes = DEAD / run.value("ratio");
        for (int i = 0; i < table.length; i++) {
            put(levels);
        }
        SplitMix random = new SplitMix(1, 0);

        run.begin(steps);
        for (long step = 0; step < steps; step++) {
            for (int i = 0; i < DEAD / ARRAY; i++) {
                Garbage.drop(new byte[ARRAY]);
            }
            for (long i = oldBytes / treeBytes(levels); i > 0; i--) {
                put(levels);
            }
            long written = 0;
            for (long left = oldBytes % treeBytes(levels); left > INSIGNIFICANT; written++) {
                // The largest full tree that fits.
                int height = 63 - Long.numberOfLeadingZeros(left / NODE_BYTES + 1);
                put(height);
                left -= treeBytes(height);
            }
            for (long i = Math.max(0, mutation - written) / 2; i > 0; i--) {
                exchange(random);
            }
            run.step();
        }
        run.end();

        Fold fold = new Fold();
        for (int i = 0; i < table.length; i++) {
            WrongResult.unless(Tree.holdsHeights(table[i], levels), "tree %d is damaged", i);
            Tree.fold(fold, table[i]);
        }
        return fold.value();
    }

    private static long treeBytes(int levels) {
        return ((1L << levels) - 1) * NODE_BYTES;
    }

    /** Makes a tree, and puts it in the place of a whole one, or of a subtree of its height that is always the same one. */
    private void put(int height) {
        Tree tree = Tree.ofHeights(height, made);
        if (height == levels) {
            table[next] = tree;
        } else {
            // Left and right in turn.
            long way = height % 2 == 0 ? 0xaaaaaaaaaaaaaaaaL : 0x5555555555555555L;
            table[next].set(levels - height, way, tree);
        }
        made++;
        next = (next + 1) % table.length;
    }

    /** Exchanges what two trees have in the same place. */
    private void exchange(SplitMix random) {
        Tree a = table[(int) random.below(table.length)];
        Tree b = table[(int) random.below(table.length)];
        int depth = (int) random.within(1, levels);
        long path = random.any();
        Tree fromA = a.get(depth, path);
        Tree fromB = b.get(depth, path);
        a.set(depth, path, fromB);
        b.set(depth, path, fromA);
    }
}
