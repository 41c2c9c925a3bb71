package bench;

/** Allocation at a given rate, against a given occupancy, whether or not the last request is done. */
final class Sweep implements Workload {
    /** Objects in a group. */
    private static final int GROUP = 512;
    /** Sizes there are. */
    private static final int SIZES = 64;

    private static final int OBJECTS_IN_REQUEST = 2 * SIZES;

    /** Its number is in the first and in the last eight bytes of its body. */
    private static final class Item {
        Item next;
        byte[] body;

        /** Of the size of a place. */
        Item(long place, long number) {
            body = new byte[bodyBytes(place)];
            Buffers.setWord(body, 0, number);
            Buffers.setWord(body, body.length - 8, number);
        }

        long number() {
            return Buffers.word(body, 0);
        }

        boolean isWhole() {
            return Buffers.word(body, body.length - 8) == number();
        }
    }

    private int objects;
    private Item[][] groups;
    private Item[] queue;
    private final SplitMix random = new SplitMix(1, 0);

    @Override
    public long run(Run run) throws WrongResult {
        objects = run.size("size");
        groups = new Item[(objects + GROUP - 1) / GROUP][];
        queue = new Item[(run.size("queue") + SIZES - 1) / SIZES * SIZES];
        long sum = 0;
        for (int group = 0; group < groups.length; group++) {
            groups[group] = new Item[GROUP];
            int from = group * GROUP;
            int to = from + length(group);
            for (int place = from; place < to; place++) {
                groups[group][place % GROUP] = new Item(place, place);
                sum += place;
            }
            for (int place = from; place < to; place++) {
                referFromBefore(place);
            }
        }
        // Objects made. Those in the queue are numbered from 0 too.
        long made = 0;
        for (; made < queue.length; made++) {
            queue[(int) made] = new Item(made, made);
        }
        long between = requestBytes() * 1_000_000_000 / (run.value("rate") << 20);
        long requests = (run.value("seconds") * 1_000_000_000 + between - 1) / between;
        long shuffle = run.value("shuffle");
        // Objects of the store times nanoseconds: what is owed it, and what one replacement costs.
        long owed = 0;
        long price = run.value("prune") * 60_000_000_000L;

        run.begin(requests);
        for (long request = 0; request < requests; request++) {
            run.waitUntil(request * between);
            owed = Math.min(owed + between * objects, price * OBJECTS_IN_REQUEST);
            for (int i = 0; i < OBJECTS_IN_REQUEST; i++) {
                Item item = new Item(made, made);
                int slot = (int) (made % queue.length);
                Item oldest = queue[slot];
                queue[slot] = item;
                if (owed >= price) {
                    owed -= price;
                    sum += made - queue.length - replace(oldest, made);
                    if (random.oneIn(2)) {
                        shuffle(shuffle);
                    }
                }
                made++;
            }
            run.step();
        }
        run.end();

        return check(sum, made);
    }

    /** The length of the body of the object at a place. */
    private static int bodyBytes(long place) {
        return (int) (80 + 14 * (place % SIZES));
    }

    /** What the objects of a request are in pagemark's heap; the rate is counted in these everywhere. */
    private static long requestBytes() {
        long bytes = 0;
        for (int size = 0; size < SIZES; size++) {
            bytes += 2 * (32 + (16 + bodyBytes(size) + 15) / 16 * 16);
        }
        return bytes;
    }

    private Item item(int place) {
        return groups[place / GROUP][place % GROUP];
    }

    /** Objects of a group. Only the last one may have less. */
    private int length(int group) {
        return Math.min(GROUP, objects - group * GROUP);
    }

    private int below(int n) {
        return (int) random.below(n);
    }

    /**
     * Puts what has left the queue into a random place of its size.
     *
     * @return the number of what was there; if that is damaged, the sum is wrong in the end
     */
    private long replace(Item oldest, long made) {
        int size = (int) (made % SIZES);
        int place = size + SIZES * below((objects - size + SIZES - 1) / SIZES);
        Item item = item(place);
        long replaced = item.number();
        item.body = oldest.body;
        referFromBefore(place);
        refer(place);
        return replaced;
    }

    /** Perhaps one of the group before refers to the object from now on. */
    private void referFromBefore(int place) {
        int group = place / GROUP;
        if (group > 0 && random.oneIn(2)) {
            item((group - 1) * GROUP + below(GROUP)).next = item(place);
        }
    }

    /** The object refers to one of the next group from now on, or to none. */
    private void refer(int place) {
        int next = place / GROUP + 1;
        if (next < groups.length) {
            item(place).next = random.oneIn(2) ? item(next * GROUP + below(length(next))) : null;
        }
    }

    /** One of n groups gets new references, and is written to. The last group has none to refer to. */
    private void shuffle(long n) {
        if (groups.length < 2) {
            return;
        }
        for (long i = (groups.length + n - 1) / n; i > 0; i--) {
            int group = below(groups.length - 1);
            for (int place = group * GROUP; place < (group + 1) * GROUP; place++) {
                refer(place);
                byte[] body = item(place).body;
                body[8 + below(body.length - 16)]++;
            }
        }
    }

    /** The fold, if the numbers in the store add up and the queue has the last of those made. */
    private long check(long sum, long made) throws WrongResult {
        long found = 0;
        Fold fold = new Fold();
        for (int place = 0; place < objects; place++) {
            Item item = item(place);
            WrongResult.unless(item.isWhole(), "the object at %d is damaged", place);
            WrongResult.unless(
                    item.next == null || item.next.isWhole(), "what the object at %d refers to is damaged", place);
            found += item.number();
            fold.add(item.number());
            fold.add(item.next == null ? 0 : item.next.number() + 1);
        }
        WrongResult.unless(found == sum, "the objects add up to %d, not %d", found, sum);
        for (long expected = made - queue.length; expected < made; expected++) {
            Item item = queue[(int) (expected % queue.length)];
            WrongResult.unless(
                    item.isWhole() && item.number() == expected,
                    "object %d is not in its place in the queue",
                    expected);
            fold.add(expected);
        }
        return fold.value();
    }
}
