package bench;

/** A big tree lives, small trees die, and some of them move in. */
final class Churn implements Workload {
    @Override
    public long run(Run run) throws WrongResult {
        int levels = run.size("levels");
        long trees = run.value("trees");
        int top = levels - Tree.SMALL;
        Tree live = Tree.of(top, -1);
        for (long path = 0; path < 1L << top; path++) {
            live.set(top, path, Tree.of(Tree.SMALL, path));
        }
        SplitMix random = new SplitMix(1, 0);

        run.begin(trees);
        for (long number = 0; number < trees; number++) {
            long path = random.any();
            Tree tree = Tree.of(Tree.SMALL, number);
            if (number % 16 == 15) {
                live.set(top, path, tree);
            } else {
                Garbage.drop(tree);
            }
            run.step();
        }
        run.end();

        long nodes = Tree.count(live);
        WrongResult.unless(nodes == (1L << levels) - 1, "the live tree has %d nodes", nodes);
        for (long path = 0; path < 1L << top; path++) {
            Tree subtree = live.get(top, path);
            WrongResult.unless(
                    subtree != null && Tree.holds(subtree, Tree.SMALL, subtree.value), "subtree %d is damaged", path);
        }
        Fold fold = new Fold();
        Tree.fold(fold, live);
        return fold.value();
    }
}
