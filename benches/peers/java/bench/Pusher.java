package bench;

/** A window of buffers, the newest pushing out the oldest. */
final class Pusher implements Workload {
    @Override
    public long run(Run run) throws WrongResult {
        int window = run.size("window");
        long pushes = run.value("pushes");
        int bytes = run.size("bytes");
        byte[][] ring = new byte[window][];

        run.begin(pushes);
        for (long number = 0; number < pushes; number++) {
            // The low byte of the number everywhere, and the number itself in the first eight.
            byte[] buffer = Buffers.filled(bytes, number);
            Buffers.setWord(buffer, 0, number);
            ring[(int) (number % window)] = buffer;
            run.step();
        }
        run.end();

        Fold fold = new Fold();
        for (long number = Math.max(0, pushes - window); number < pushes; number++) {
            byte[] buffer = ring[(int) (number % window)];
            WrongResult.unless(
                    Buffers.isFilled(buffer, 8, bytes, number) && Buffers.word(buffer, 0) == number,
                    "the buffer of push %d is damaged",
                    number);
            fold.add(Buffers.word(buffer, 0));
            fold.add(Buffers.unsigned(buffer[bytes - 1]));
        }
        return fold.value();
    }
}
