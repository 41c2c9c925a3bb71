package bench;

/** Allocation at a given rate, against a given occupancy, whether or not the last request is done. */
final class Sweep implements Workload {
    /** References in an array. */
    private static final int GROUP = 512;
    /** Bytes in an object's body. */
    private static final int BODY = 240;
    /** What an object is in pagemark's heap; the rate is counted in these everywhere. */
    private static final int OBJECT_BYTES = 288;

    private static final int OBJECTS_IN_REQUEST = (64 << 10) / OBJECT_BYTES;

    /** Its body is filled with the low byte of its value. */
    private static final class Item {
        final byte[] body;
        final long value;

        Item(long value) {
            this.value = value;
            body = Buffers.filled(BODY, value);
        }
    }

    private Item[][] store;

    @Override
    public long run(Run run) throws WrongResult {
        int objects = run.size("size");
        long shuffle = run.value("shuffle");
        store = new Item[(objects + GROUP - 1) / GROUP][GROUP];
        long sum = 0;
        for (int at = 0; at < objects; at++) {
            set(at, new Item(at));
            sum += at;
        }
        SplitMix random = new SplitMix(1, 0);
        double rate = run.value("rate") * (double) (1 << 20);
        double between = OBJECTS_IN_REQUEST * OBJECT_BYTES / rate * 1e9;
        long requests = (long) Math.ceil(run.value("seconds") * 1e9 / between);

        run.begin(requests);
        for (long request = 0; request < requests; request++) {
            run.waitUntil((long) (request * between));
            for (int i = 0; i < OBJECTS_IN_REQUEST; i++) {
                long value = random.any();
                Item item = new Item(value);
                long at = random.below(objects);
                sum += value - get(at).value;
                set(at, item);
                if (random.oneIn(shuffle)) {
                    long a = random.below(objects);
                    long b = random.below(objects);
                    Item left = get(a);
                    set(a, get(b));
                    set(b, left);
                }
            }
            run.step();
        }
        run.end();

        long found = 0;
        Fold fold = new Fold();
        for (int at = 0; at < objects; at++) {
            Item item = get(at);
            WrongResult.unless(
                    Buffers.isFilled(item.body, 0, BODY, item.value), "the object at %d is damaged", at);
            found += item.value;
            fold.add(item.value);
            fold.add(Buffers.unsigned(item.body[0]));
        }
        WrongResult.unless(found == sum, "the objects add up to %d, not %d", found, sum);
        return fold.value();
    }

    private Item get(long at) {
        return store[(int) (at / GROUP)][(int) (at % GROUP)];
    }

    private void set(long at, Item item) {
        store[(int) (at / GROUP)][(int) (at % GROUP)] = item;
    }
}
