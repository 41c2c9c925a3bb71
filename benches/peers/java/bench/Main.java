package bench;

import java.io.IOException;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * The workloads of {@code pagemark bench}, in Java: what they do is said in lab/src/bench/workloads/NAME.rs, and done here as
 * one would do it in Java.
 *
 * <pre>
 * Churn, Scatter, ...   one workload: build, Run.begin, Run.step after each step, Run.end, check
 * Tree                  the tree that two of them share
 * Run                   what is measured: moments, processor time
 * Pauses                what the collector stopped, from the JVM's own log
 * SplitMix              random numbers, the same as everywhere
 * Fold                  one number for everything that lives
 * Garbage               keeps the compiler from leaving out what is garbage
 * </pre>
 *
 * The collector and the heap's size are options of the JVM, which {@code peer run} sets.
 */
final class Main {
    private Main() {}

    /** CONTESTANT WORKLOAD --safepoints LOG --steps FILE --threads 1 --PARAMETER VALUE ... */
    public static void main(String[] arguments) {
        int status = 0;
        try {
            System.out.println(perform(arguments));
        } catch (OutOfMemoryError error) {
            System.err.println("out of memory: " + error.getMessage());
            status = 2;
        } catch (WrongResult | IllegalArgumentException exception) {
            System.err.println(exception.getMessage());
            status = 1;
        } catch (IOException exception) {
            System.err.println(exception);
            status = 1;
        }
        System.exit(status);
    }

    private static String perform(String[] arguments) throws WrongResult, IOException {
        if (arguments.length < 2) {
            throw new IllegalArgumentException("usage: CONTESTANT WORKLOAD --steps FILE --threads 1 --PARAMETER VALUE ...");
        }
        String contestant = arguments[0];
        String name = arguments[1];
        try (Run run = new Run(options(arguments))) {
            if (run.value("threads") != 1) {
                throw new IllegalArgumentException("peers run with one thread");
            }
            long check = workload(name).run(run);
            run.write();
            return String.format(
                    Locale.ROOT,
                    "{\"peer\":\"%s\",\"version\":\"%s\",\"workload\":\"%s\",\"check\":\"%s\",%s}",
                    contestant,
                    System.getProperty("java.version"),
                    name,
                    Long.toUnsignedString(check),
                    run.measured());
        }
    }

    private static Workload workload(String name) {
        return switch (name) {
            case "arrays" -> new Arrays();
            case "binary-trees" -> new BinaryTrees();
            case "churn" -> new Churn();
            case "gcold" -> new GcOld();
            case "graph" -> new Graph();
            case "lru" -> new Lru();
            case "mt-gcbench" -> new MtGcBench();
            case "pusher" -> new Pusher();
            case "quads" -> new Quads();
            case "queue" -> new Fifo();
            case "scatter" -> new Scatter();
            case "splay" -> new Splay();
            case "sweep" -> new Sweep();
            default -> throw new IllegalArgumentException("there is no workload " + name);
        };
    }

    /**
     * Pairs of --NAME VALUE. The first --steps is the file for the steps, {@link Run#FILE} here; a second one is the parameter
     * of that name, which some workloads have.
     */
    private static Map<String, String> options(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        for (int i = 2; i < arguments.length; i += 2) {
            if (!arguments[i].startsWith("--") || i + 1 == arguments.length) {
                throw new IllegalArgumentException(arguments[i] + " is not an option with a value");
            }
            boolean file = arguments[i].equals("--steps") && !options.containsKey(Run.FILE);
            options.put(file ? Run.FILE : arguments[i], arguments[i + 1]);
        }
        return options;
    }
}
