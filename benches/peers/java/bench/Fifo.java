package bench;

/** {@code queue}: first in, first out, with everything living equally long. */
final class Fifo implements Workload {
    private static final int BATCH = 32;
    private static final int BODY = 48;

    private static final class Message {
        Message next;
        final byte[] body;
        final long number;

        Message(long number) {
            this.number = number;
            body = Buffers.filled(BODY, number);
        }

        boolean is(long expected) {
            return number == expected
                    && body.length == BODY
                    && body[0] == (byte) expected
                    && body[BODY - 1] == (byte) expected;
        }
    }

    private Message first;
    private Message last;

    @Override
    public long run(Run run) throws WrongResult {
        long messages = run.value("size");
        long requests = run.value("requests");
        long nextIn = 0;
        while (nextIn < messages) {
            long count = Math.min(BATCH, messages - nextIn);
            put(nextIn, count);
            nextIn += count;
        }

        run.begin(requests);
        for (long request = 0; request < requests; request++) {
            put(nextIn, BATCH);
            WrongResult.unless(take(request * BATCH), "request %d was not served what was next", request);
            nextIn += BATCH;
            run.step();
        }
        run.end();

        long expected = requests * BATCH;
        Fold fold = new Fold();
        for (Message message = first; message != null; message = message.next) {
            WrongResult.unless(message.is(expected), "message %d is damaged", expected);
            fold.add(message.number);
            fold.add(Buffers.unsigned(message.body[0]));
            fold.add(Buffers.unsigned(message.body[BODY - 1]));
            expected++;
        }
        WrongResult.unless(expected == nextIn, "the queue ends at %d, not %d", expected, nextIn);
        return fold.value();
    }

    /** Puts messages in, numbered from a number on. */
    private void put(long number, long count) {
        Message head = new Message(number);
        Message tail = head;
        for (long next = number + 1; next < number + count; next++) {
            tail.next = new Message(next);
            tail = tail.next;
        }
        if (last == null) {
            first = head;
        } else {
            last.next = head;
        }
        last = tail;
    }

    /** Takes a batch out; whether these were the messages from a number on. The queue never gets empty. */
    private boolean take(long number) {
        boolean right = true;
        for (long next = number; next < number + BATCH; next++) {
            if (first == null) {
                return false;
            }
            right &= first.is(next);
            first = first.next;
        }
        return right;
    }
}
