package bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/** Notes what happens between {@link #begin} and {@link #end}. */
final class Run implements AutoCloseable {
    /** The key of the file for the steps. */
    static final String FILE = "file";

    /** Ticks of /proc/self/stat in a second: Linux counts in the same for all its programs. */
    private static final double TICKS = 100;

    private final Map<String, String> options;
    private final long made = System.nanoTime();
    private final Pauses pauses;

    /** The number of steps, then when each ended, in nanoseconds after the beginning. */
    private ByteBuffer log;

    private LongBuffer ends;
    private long began;
    private double setup;
    private double elapsed;
    private double user;
    private double kernel;

    Run(Map<String, String> options) {
        this.options = options;
        pauses = new Pauses(Path.of(text("--safepoints")));
    }

    private String text(String option) {
        String value = options.get(option);
        if (value == null) {
            throw new IllegalArgumentException(option + " is missing");
        }
        return value;
    }

    /** A parameter of the workload. Every parameter is always given. */
    long value(String name) {
        return Long.parseLong(text("--" + name));
    }

    /** A parameter that is a number of things in one array. */
    int size(String name) {
        return Integer.parseInt(text("--" + name));
    }

    /** Everything is built, and so many steps will follow. What comes until the end is measured. */
    void begin(long steps) throws WrongResult {
        // Outside of the heap: the moments are not the program's, so they shall not count against its limit.
        log = ByteBuffer.allocateDirect(Math.toIntExact(8 * (steps + 1))).order(ByteOrder.LITTLE_ENDIAN);
        ends = log.asLongBuffer();
        ends.put(steps);
        pauses.begin();
        readCpu(-1);
        began = System.nanoTime();
        setup = (began - made) / 1e9;
    }

    /** A step ended. */
    void step() {
        ends.put(System.nanoTime() - began);
    }

    /** Waits until so many nanoseconds after the beginning, if that is not over yet. */
    void waitUntil(long due) {
        long ahead = due - (System.nanoTime() - began);
        while (ahead > 0) {
            LockSupport.parkNanos(ahead);
            ahead = due - (System.nanoTime() - began);
        }
    }

    /** All steps are done. */
    void end() throws WrongResult {
        elapsed = (System.nanoTime() - began) / 1e9;
        readCpu(1);
        pauses.end();
        WrongResult.unless(ends.remaining() == 0, "%d steps were announced that did not come", ends.remaining());
    }

    /** Adds the process's processor time so far, times a sign. */
    private void readCpu(int sign) throws WrongResult {
        try {
            String stat = Files.readString(Path.of("/proc/self/stat"));
            // What comes after the name, which may hold anything: state is the third field, user and kernel are the 14th and 15th.
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            user += sign * Long.parseLong(fields[14 - 3]) / TICKS;
            kernel += sign * Long.parseLong(fields[15 - 3]) / TICKS;
        } catch (IOException exception) {
            throw new WrongResult("cannot read the processor time: %s", exception);
        }
    }

    /** Writes the steps to their file. */
    void write() throws IOException {
        try (FileChannel file = FileChannel.open(
                Path.of(text(FILE)),
                StandardOpenOption.CREATE,
                StandardOpenOption.TRUNCATE_EXISTING,
                StandardOpenOption.WRITE)) {
            while (log.hasRemaining()) {
                file.write(log);
            }
        }
    }

    /** What was measured, as members of a JSON object. */
    String measured() throws IOException {
        return String.format(
                Locale.ROOT,
                "\"setup_s\":%.6f,\"elapsed_s\":%.6f,\"cpu_user_s\":%.2f,\"cpu_kernel_s\":%.2f,\"pauses\":%s",
                setup,
                elapsed,
                user,
                kernel,
                pauses.json());
    }

    /** It is over, whatever came of it. */
    @Override
    public void close() throws IOException {
        pauses.close();
    }
}
