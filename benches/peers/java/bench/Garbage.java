package bench;

/** Where garbage goes. */
final class Garbage {
    private Garbage() {}

    /**
     * Does nothing; and since the JVM is told not to inline it ({@code -XX:CompileCommand}, see peer), no compiler sees that
     * nobody needs the object. Storing it somewhere instead would be work for a write barrier.
     */
    static void drop(Object object) {}
}
