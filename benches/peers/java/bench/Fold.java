package bench;

/** Makes one number of many, in their order: the same in every language, so that a run can be compared with another. */
final class Fold {
    private long value;

    void add(long word) {
        value = Long.rotateLeft((value ^ word) * SplitMix.GOLDEN, 23);
    }

    long value() {
        return value;
    }
}
