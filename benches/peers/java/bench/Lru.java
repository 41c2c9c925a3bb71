package bench;

/** A cache of the entries used last, asked for keys as people ask. */
final class Lru implements Workload {
    private static final int KEYS_IN_REQUEST = 16;
    private static final int VALUE = 256;
    /** Keys there are, for each entry of the cache. */
    private static final long UNIVERSE = 4;
    /** Of the distribution of keys. */
    private static final double EXPONENT = 0.99;

    private static final class Entry {
        Entry chain;
        Entry newer;
        Entry older;
        final byte[] value = new byte[VALUE];
        final long key;

        Entry(long key) {
            this.key = key;
            for (int i = 0; i < VALUE; i += 8) {
                Buffers.setWord(value, i, key);
            }
        }

        boolean hasValue() {
            for (int i = 0; i < VALUE; i += 8) {
                if (Buffers.word(value, i) != key) {
                    return false;
                }
            }
            return true;
        }
    }

    private Entry newest;
    private Entry oldest;
    private Entry[] table;

    @Override
    public long run(Run run) throws WrongResult {
        int size = run.size("size");
        long requests = run.value("requests");
        table = new Entry[Integer.highestOneBit(size - 1) << 1];
        Zipf zipf = new Zipf(size * UNIVERSE, EXPONENT);
        SplitMix random = new SplitMix(1, 0);
        for (long rank = 0; rank < size; rank++) {
            put(key(rank));
        }
        long damaged = 0;

        run.begin(requests);
        for (long request = 0; request < requests; request++) {
            for (int i = 0; i < KEYS_IN_REQUEST; i++) {
                long key = key(zipf.rank(random));
                Entry entry = find(key);
                if (entry != null) {
                    if (!entry.hasValue()) {
                        damaged++;
                    }
                    unlink(entry);
                    linkNewest(entry);
                } else {
                    put(key);
                    dropOldest();
                }
            }
            run.step();
        }
        run.end();

        WrongResult.unless(damaged == 0, "%d times a key was answered with another's value", damaged);
        return check(size);
    }

    /** Keys of neighbouring ranks lie nowhere near each other: an odd factor is a bijection of words. */
    private static long key(long rank) {
        return (rank + 1) * SplitMix.GOLDEN;
    }

    private int bucket(long key) {
        // The high bits of a product are the mixed ones.
        return (int) (key >>> 32) & table.length - 1;
    }

    private Entry find(long key) {
        Entry entry = table[bucket(key)];
        while (entry != null && entry.key != key) {
            entry = entry.chain;
        }
        return entry;
    }

    /** Puts in a key that is not there, as the newest. */
    private void put(long key) {
        Entry entry = new Entry(key);
        int bucket = bucket(key);
        entry.chain = table[bucket];
        table[bucket] = entry;
        linkNewest(entry);
    }

    private void linkNewest(Entry entry) {
        entry.newer = null;
        entry.older = newest;
        if (newest != null) {
            newest.newer = entry;
        } else {
            oldest = entry;
        }
        newest = entry;
    }

    private void unlink(Entry entry) {
        if (entry.newer != null) {
            entry.newer.older = entry.older;
        } else {
            newest = entry.older;
        }
        if (entry.older != null) {
            entry.older.newer = entry.newer;
        } else {
            oldest = entry.newer;
        }
    }

    private void dropOldest() {
        Entry dropped = oldest;
        if (dropped == null) {
            return;
        }
        unlink(dropped);
        int bucket = bucket(dropped.key);
        if (table[bucket] == dropped) {
            table[bucket] = dropped.chain;
            return;
        }
        Entry before = table[bucket];
        while (before.chain != dropped) {
            before = before.chain;
        }
        before.chain = dropped.chain;
    }

    /** Goes through all entries, from the one used last to the one used longest ago. */
    private long check(long size) throws WrongResult {
        Fold fold = new Fold();
        long count = 0;
        Entry newer = null;
        for (Entry entry = newest; entry != null; entry = entry.older) {
            WrongResult.unless(
                    entry.newer == newer && find(entry.key) == entry && entry.hasValue(),
                    "the entry of key %d is damaged",
                    entry.key);
            fold.add(entry.key);
            fold.add(Buffers.word(entry.value, 0));
            count++;
            newer = entry;
        }
        WrongResult.unless(oldest == newer && count == size, "the list has %d entries, not %d", count, size);
        return fold.value();
    }

    /** Zipf's distribution over ranks from 0, after Gray and others (SIGMOD 1994), as YCSB draws from it. */
    private record Zipf(long ranks, double exponent, double zeta, double eta) {
        Zipf(long ranks, double exponent) {
            this(ranks, exponent, zeta(ranks, exponent));
        }

        private Zipf(long ranks, double exponent, double zeta) {
            this(
                    ranks,
                    exponent,
                    zeta,
                    (1 - Math.pow(2.0 / ranks, 1 - exponent)) / (1 - zeta(2, exponent) / zeta));
        }

        private static double zeta(long ranks, double exponent) {
            double sum = 0;
            for (long i = 1; i <= ranks; i++) {
                sum += Math.pow(i, -exponent);
            }
            return sum;
        }

        long rank(SplitMix random) {
            double uniform = (random.any() >>> 11) / (double) (1L << 53);
            double scaled = uniform * zeta;
            if (scaled < 1) {
                return 0;
            }
            if (scaled < 1 + Math.pow(0.5, exponent)) {
                return 1;
            }
            double rank = ranks * Math.pow(eta * uniform - eta + 1, 1 / (1 - exponent));
            return Math.min((long) rank, ranks - 1);
        }
    }
}
