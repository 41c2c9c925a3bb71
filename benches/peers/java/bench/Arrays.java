package bench;

/** Large arrays of references, written seldom or often. */
final class Arrays implements Workload {
    /** The bits of a cell's value that are drawn; those above are its place. */
    private static final int DRAWN = 16;

    private record Cell(long value) {}

    @Override
    public long run(Run run) throws WrongResult {
        int arrays = run.size("arrays");
        int size = run.size("size");
        long steps = run.value("steps");
        long mutation = run.value("mutation");
        int garbage = run.size("garbage");
        Cell[][] shelf = new Cell[arrays][size];
        for (int array = 0; array < arrays; array++) {
            for (int slot = 0; slot < size; slot++) {
                shelf[array][slot] = new Cell(place(array, size, slot) << DRAWN);
            }
        }
        long sum = 0;
        SplitMix random = new SplitMix(1, 0);

        run.begin(steps);
        for (long step = 0; step < steps; step++) {
            if (garbage > 0) {
                Garbage.drop(new byte[garbage]);
            }
            for (long i = 0; i < mutation; i++) {
                int array = (int) random.below(arrays);
                int slot = (int) random.below(size);
                long drawn = random.below(1 << DRAWN);
                Cell cell = new Cell(place(array, size, slot) << DRAWN | drawn);
                sum += drawn - drawn(shelf[array][slot]);
                shelf[array][slot] = cell;
            }
            run.step();
        }
        run.end();

        long found = 0;
        Fold fold = new Fold();
        for (int array = 0; array < arrays; array++) {
            for (int slot = 0; slot < size; slot++) {
                Cell cell = shelf[array][slot];
                WrongResult.unless(
                        cell.value >>> DRAWN == place(array, size, slot),
                        "array %d has the cell of another slot at %d",
                        array,
                        slot);
                found += drawn(cell);
                fold.add(cell.value);
            }
        }
        WrongResult.unless(found == sum, "the cells add up to %d, not %d", found, sum);
        return fold.value();
    }

    /** The number of a slot among all. */
    private static long place(long array, long size, long slot) {
        return array * size + slot;
    }

    private static long drawn(Cell cell) {
        return cell.value & (1 << DRAWN) - 1;
    }
}
