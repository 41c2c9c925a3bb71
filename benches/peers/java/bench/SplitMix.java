package bench;

/** A SplitMix64 generator: that of lab/src/stress/random.rs, to the number. */
final class SplitMix {
    static final long GOLDEN = 0x9e3779b97f4a7c15L;

    private long state;

    /** The generator of a seed. Two streams of a seed have nothing in common. */
    SplitMix(long seed, long stream) {
        state = mix(mix(seed) ^ stream);
    }

    /** Any number. */
    long any() {
        state += GOLDEN;
        return mix(state);
    }

    /** A number below n, which is positive. */
    long below(long n) {
        long any = any();
        // The high half of the unsigned product: multiplyHigh takes a number with the highest bit for one that is 2^64 less.
        return Math.multiplyHigh(any, n) + (any >> 63 & n);
    }

    /** A number from low to high, both possible. */
    long within(long low, long high) {
        return low + below(high - low + 1);
    }

    /** Whether something that happens once in n times happens. */
    boolean oneIn(long n) {
        return below(n) == 0;
    }

    private static long mix(long x) {
        x += GOLDEN;
        x = (x ^ x >>> 30) * 0xbf58476d1ce4e5b9L;
        x = (x ^ x >>> 27) * 0x94d049bb133111ebL;
        return x ^ x >>> 31;
    }
}
