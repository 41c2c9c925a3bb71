package bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;

/**
 * How long the collector stopped the program, from the JVM's log of safepoints ({@code -Xlog:safepoint}).
 *
 * <p>All collectors stop the program at safepoints, and all of these are logged alike, in nanoseconds, from the moment at which the
 * program is asked to stop. The collectors' own reports count in milliseconds and differ in what they count. The log is read once,
 * when everything is over.
 */
final class Pauses implements AutoCloseable {
    /** A safepoint of a collector; others stop for the compiler, for example. */
    private static final Pattern LINE =
            Pattern.compile("Safepoint \"(?:G1|Parallel|Shenandoah|Z|CollectForMetadata)\\w*\",.* Total: +(\\d+) ns");

    private final Path log;
    private long from;
    private long to;

    Pauses(Path log) {
        this.log = log;
    }

    /** From here on they count. */
    void begin() throws WrongResult {
        from = size();
    }

    /** Up to here. */
    void end() throws WrongResult {
        to = size();
    }

    private long size() throws WrongResult {
        try {
            return Files.size(log);
        } catch (IOException exception) {
            throw new WrongResult("cannot find the log of safepoints: %s", exception);
        }
    }

    /** Count, quantiles, and each of them. */
    String json() throws IOException {
        byte[] bytes = Files.readAllBytes(log);
        String lines = new String(bytes, (int) from, (int) (to - from), StandardCharsets.US_ASCII);
        double[] milliseconds = lines.lines()
                .map(LINE::matcher)
                .filter(Matcher::find)
                .mapToDouble(match -> Long.parseLong(match.group(1)) / 1e6)
                .sorted()
                .toArray();
        return String.format(
                Locale.ROOT,
                "{\"count\":%d,\"p50_ms\":%.6f,\"p99_ms\":%.6f,\"max_ms\":%.6f,\"each_ms\":%s}",
                milliseconds.length,
                quantile(milliseconds, 0.5),
                quantile(milliseconds, 0.99),
                quantile(milliseconds, 1),
                list(milliseconds));
    }

    private static String list(double[] numbers) {
        return DoubleStream.of(numbers)
                .mapToObj(number -> String.format(Locale.ROOT, "%.6f", number))
                .collect(Collectors.joining(",", "[", "]"));
    }

    /** The least of the sorted numbers that so many are not above. */
    private static double quantile(double[] sorted, double share) {
        return sorted.length == 0 ? 0 : sorted[(int) Math.ceil(share * sorted.length) - 1];
    }

    /** The log is gone. */
    @Override
    public void close() throws IOException {
        Files.delete(log);
    }
}
