package bench;

/** What a workload has at the end is not what it must be. */
final class WrongResult extends Exception {
    private static final long serialVersionUID = 1;

    WrongResult(String format, Object... arguments) {
        super(String.format(format, arguments));
    }

    /** Throws this unless something holds. */
    static void unless(boolean holds, String format, Object... arguments) throws WrongResult {
        if (!holds) {
            throw new WrongResult(format, arguments);
        }
    }
}
