package bench;

/** A heap of old trees, with the rate at which they are changed as a parameter. */
final class GcOld implements Workload {
    /** Levels of a tree, of 1,023 nodes. */
    private static final int LEVELS = 10;

    @Override
    public long run(Run run) throws WrongResult {
        int trees = run.size("size");
        long steps = run.value("steps");
        long dead = run.value("dead");
        long mutation = run.value("mutation");
        Tree[] table = new Tree[trees];
        for (int i = 0; i < trees; i++) {
            table[i] = Tree.ofHeights(LEVELS);
        }
        SplitMix random = new SplitMix(1, 0);

        run.begin(steps);
        for (long step = 0; step < steps; step++) {
            for (long i = 0; i < dead; i++) {
                Garbage.drop(Tree.ofHeights(LEVELS));
            }
            Tree tree = Tree.ofHeights(LEVELS);
            table[(int) random.below(trees)] = tree;
            for (long i = 0; i < mutation; i++) {
                exchange(table, random);
            }
            run.step();
        }
        run.end();

        Fold fold = new Fold();
        for (int i = 0; i < trees; i++) {
            WrongResult.unless(Tree.holdsHeights(table[i], LEVELS), "tree %d is damaged", i);
            Tree.fold(fold, table[i]);
        }
        return fold.value();
    }

    /** Exchanges two subtrees of the same height. In one tree both lie at the same depth, so neither is inside the other. */
    private static void exchange(Tree[] table, SplitMix random) {
        int depth = (int) random.within(1, LEVELS - 1);
        Tree a = table[(int) random.below(table.length)];
        long pathInA = random.any();
        Tree b = table[(int) random.below(table.length)];
        long pathInB = random.any();
        Tree fromA = a.get(depth, pathInA);
        Tree fromB = b.get(depth, pathInB);
        a.set(depth, pathInA, fromB);
        b.set(depth, pathInB, fromA);
    }
}
