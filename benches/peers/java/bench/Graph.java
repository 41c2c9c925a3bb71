package bench;

/** One random graph, mutated all the time. */
final class Graph implements Workload {
    private static final long MUTATIONS_IN_STEP = 32;

    /** The edges are an array of their own: Java has no array inside an object. */
    private static final class Vertex {
        final Vertex[] edges = new Vertex[4];
        Label label;
        final long number;

        Vertex(long number) {
            this.number = number;
            label = new Label(number, 0);
        }
    }

    private record Label(long vertex, long turn) {}

    @Override
    public long run(Run run) throws WrongResult {
        int vertices = run.size("size");
        long mutations = run.value("mutations");
        int garbage = run.size("garbage");
        Vertex[] table = new Vertex[vertices];
        for (int number = 0; number < vertices; number++) {
            table[number] = new Vertex(number);
        }
        SplitMix random = new SplitMix(1, 0);
        for (Vertex vertex : table) {
            for (int edge = 0; edge < vertex.edges.length; edge++) {
                vertex.edges[edge] = table[(int) random.below(vertices)];
            }
        }
        long[] turns = new long[vertices];

        run.begin((mutations + MUTATIONS_IN_STEP - 1) / MUTATIONS_IN_STEP);
        for (long left = mutations; left > 0; left -= MUTATIONS_IN_STEP) {
            for (long todo = Math.min(MUTATIONS_IN_STEP, left); todo > 0; todo--) {
                if (garbage > 0) {
                    Garbage.drop(new byte[garbage]);
                }
                int number = (int) random.below(vertices);
                turns[number]++;
                table[number].label = new Label(number, turns[number]);
                Vertex from = table[(int) random.below(vertices)];
                Vertex to = table[(int) random.below(vertices)];
                from.edges[(int) random.below(4)] = to;
            }
            run.step();
        }
        run.end();

        Fold fold = new Fold();
        for (int number = 0; number < vertices; number++) {
            Vertex vertex = table[number];
            Label label = vertex.label;
            WrongResult.unless(
                    vertex.number == number && label.vertex == number && label.turn == turns[number],
                    "vertex %d is damaged",
                    number);
            fold.add(vertex.number);
            fold.add(label.vertex);
            fold.add(label.turn);
            for (Vertex to : vertex.edges) {
                WrongResult.unless(
                        to != null && table[(int) to.number] == to, "an edge of vertex %d leads nowhere", number);
                fold.add(to.number);
            }
        }
        return fold.value();
    }
}
