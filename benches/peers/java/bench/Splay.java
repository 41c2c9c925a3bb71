package bench;

import java.util.ArrayDeque;
import java.util.Deque;

/** A splay tree whose nodes carry small trees, rewritten at every access. Keys are unsigned. */
final class Splay implements Workload {
    private static final int DEPTH = 5;
    private static final int NUMBERS = 80;
    private static final int TEXT = 40;

    private static final class Node {
        Node left;
        Node right;
        final Payload payload;
        final long key;

        Node(long key) {
            this.key = key;
            payload = new Payload(DEPTH, key);
        }
    }

    /** An inner node has the first two, a leaf the others. */
    private static final class Payload {
        final Payload left;
        final Payload right;
        final byte[] numbers;
        final byte[] text;

        Payload(int depth, long key) {
            left = depth > 0 ? new Payload(depth - 1, key) : null;
            right = depth > 0 ? new Payload(depth - 1, key) : null;
            numbers = depth > 0 ? null : Buffers.filled(NUMBERS, key);
            text = depth > 0 ? null : Buffers.filled(TEXT, key);
        }

        static boolean is(Payload payload, int depth, long key) {
            if (payload == null) {
                return false;
            }
            if (depth > 0) {
                return is(payload.left, depth - 1, key) && is(payload.right, depth - 1, key);
            }
            return Buffers.isFilled(payload.numbers, 0, NUMBERS, key) && Buffers.isFilled(payload.text, 0, TEXT, key);
        }

        /** Takes in the first byte of each leaf's numbers, and of its text. */
        void fold(Fold fold) {
            if (left != null) {
                left.fold(fold);
                right.fold(fold);
                return;
            }
            fold.add(Buffers.unsigned(numbers[0]));
            fold.add(Buffers.unsigned(text[0]));
        }
    }

    private Node root;

    @Override
    public long run(Run run) throws WrongResult {
        long nodes = run.value("size");
        long requests = run.value("requests");
        SplitMix random = new SplitMix(1, 0);
        long sum = 0;
        for (long size = 0; size < nodes; ) {
            long key = random.any();
            if (insert(key)) {
                sum += key;
                size++;
            }
        }

        run.begin(requests);
        for (long request = 0; request < requests; request++) {
            long key = random.any();
            if (insert(key)) {
                sum += key - takeBelow(key);
            }
            run.step();
        }
        run.end();

        return check(nodes, sum);
    }

    /**
     * Moves the node with the key, or a neighbour of where it would be, to the root: top-down, with the two trees of smaller and
     * greater keys built as it goes (Sleator and Tarjan 1985).
     *
     * @return the new root; null only for an empty tree
     */
    private static Node splay(Node root, long key) {
        if (root == null) {
            return null;
        }
        Node current = root;
        // The ends of the two trees, where the next node goes; and their tops, which are put under the root at last.
        Node smaller = null;
        Node greater = null;
        Node allSmaller = null;
        Node allGreater = null;
        while (true) {
            int side = Long.compareUnsigned(key, current.key);
            if (side == 0) {
                break;
            }
            if (side < 0) {
                Node left = current.left;
                if (left == null) {
                    break;
                }
                if (Long.compareUnsigned(key, left.key) < 0) {
                    current.left = left.right;
                    left.right = current;
                    current = left;
                    left = current.left;
                    if (left == null) {
                        break;
                    }
                }
                if (greater == null) {
                    allGreater = current;
                } else {
                    greater.left = current;
                }
                greater = current;
                current = left;
            } else {
                Node right = current.right;
                if (right == null) {
                    break;
                }
                if (Long.compareUnsigned(key, right.key) > 0) {
                    current.right = right.left;
                    right.left = current;
                    current = right;
                    right = current.right;
                    if (right == null) {
                        break;
                    }
                }
                if (smaller == null) {
                    allSmaller = current;
                } else {
                    smaller.right = current;
                }
                smaller = current;
                current = right;
            }
        }
        if (smaller != null) {
            smaller.right = current.left;
            current.left = allSmaller;
        }
        if (greater != null) {
            greater.left = current.right;
            current.right = allGreater;
        }
        return current;
    }

    /** Puts a new node in; false if its key is there already. */
    private boolean insert(long key) {
        Node node = new Node(key);
        root = splay(root, key);
        if (root != null) {
            int side = Long.compareUnsigned(key, root.key);
            if (side == 0) {
                return false;
            }
            if (side > 0) {
                node.left = root;
                node.right = root.right;
                root.right = null;
            } else {
                node.right = root;
                node.left = root.left;
                root.left = null;
            }
        }
        root = node;
        return true;
    }

    /**
     * Takes out the node with the greatest key below the one given, which is the root's, or that one itself if it is the least.
     *
     * @return its key
     */
    private long takeBelow(long key) {
        root = splay(root, key);
        long taken = key;
        for (Node node = root.left; node != null; node = node.right) {
            taken = node.key;
        }
        root = splay(root, taken);
        // What is left of the root has only smaller keys, so that splaying it for the same key leaves its root without a right subtree.
        Node left = splay(root.left, taken);
        if (left != null) {
            left.right = root.right;
            root = left;
        } else {
            root = root.right;
        }
        return taken;
    }

    /** Walks in the order of keys. A splay tree can be as deep as it has nodes, so the walk has a stack of its own. */
    private long check(long nodes, long sum) throws WrongResult {
        Fold fold = new Fold();
        Deque<Node> stack = new ArrayDeque<>();
        Node last = null;
        long foundNodes = 0;
        long foundSum = 0;
        for (Node next = root; next != null || !stack.isEmpty(); next = last.right) {
            for (; next != null; next = next.left) {
                stack.push(next);
            }
            Node node = stack.pop();
            WrongResult.unless(
                    last == null || Long.compareUnsigned(last.key, node.key) < 0,
                    "key %d is not in its place",
                    node.key);
            WrongResult.unless(
                    Payload.is(node.payload, DEPTH, node.key), "the payload of key %d is damaged", node.key);
            foundNodes++;
            foundSum += node.key;
            fold.add(node.key);
            node.payload.fold(fold);
            last = node;
        }
        WrongResult.unless(
                foundNodes == nodes && foundSum == sum, "the keys are not those that were put in and not taken out");
        return fold.value();
    }
}
