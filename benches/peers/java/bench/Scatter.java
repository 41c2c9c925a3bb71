package bench;

/** One write to a random old page at a time. */
final class Scatter implements Workload {
    private static final long WRITES_IN_STEP = 64;

    /** A small object and an array of 4 KB: Java has no object that holds an array and something else. */
    private static final class Page {
        Cell cell;
        final long[] words = new long[510];
    }

    private record Cell(long value) {}

    @Override
    public long run(Run run) throws WrongResult {
        int pages = run.size("size");
        long writes = run.value("writes");
        int garbage = run.size("garbage");
        Page[] table = new Page[pages];
        long sum = 0;
        for (int index = 0; index < pages; index++) {
            Page page = new Page();
            java.util.Arrays.fill(page.words, index);
            page.cell = new Cell(index);
            table[index] = page;
            sum += index;
        }
        SplitMix random = new SplitMix(1, 0);

        run.begin((writes + WRITES_IN_STEP - 1) / WRITES_IN_STEP);
        for (long left = writes; left > 0; left -= WRITES_IN_STEP) {
            for (long todo = Math.min(WRITES_IN_STEP, left); todo > 0; todo--) {
                if (garbage > 0) {
                    Garbage.drop(new byte[garbage]);
                }
                long value = random.below(1L << 32);
                Cell cell = new Cell(value);
                Page page = table[(int) random.below(pages)];
                sum += value - page.cell.value;
                page.cell = cell;
            }
            run.step();
        }
        run.end();

        long found = 0;
        Fold fold = new Fold();
        for (int index = 0; index < pages; index++) {
            Page page = table[index];
            for (long word : page.words) {
                WrongResult.unless(word == index, "page %d is damaged", index);
            }
            found += page.cell.value;
            fold.add(page.words[0]);
            fold.add(page.cell.value);
        }
        WrongResult.unless(found == sum, "the cells add up to %d, not %d", found, sum);
        return fold.value();
    }
}
