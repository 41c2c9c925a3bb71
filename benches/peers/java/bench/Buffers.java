package bench;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** Arrays of bytes: what they are filled with, and words in them, the lowest byte first. */
final class Buffers {
    private static final VarHandle WORD =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private Buffers() {}

    /** An array filled with the low byte of a number. */
    static byte[] filled(int length, long number) {
        byte[] buffer = new byte[length];
        java.util.Arrays.fill(buffer, (byte) number);
        return buffer;
    }

    /** Whether an array has this length, and the low byte of a number everywhere from an index on. */
    static boolean isFilled(byte[] buffer, int from, int length, long number) {
        if (buffer == null || buffer.length != length) {
            return false;
        }
        for (int i = from; i < length; i++) {
            if (buffer[i] != (byte) number) {
                return false;
            }
        }
        return true;
    }

    static long word(byte[] buffer, int index) {
        return (long) WORD.get(buffer, index);
    }

    static void setWord(byte[] buffer, int index, long word) {
        WORD.set(buffer, index, word);
    }

    /** A byte as a number from 0 to 255. */
    static long unsigned(byte value) {
        return Byte.toUnsignedLong(value);
    }
}
