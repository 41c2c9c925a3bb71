/* queue: first in, first out, with everything living equally long. See lab/src/bench/workloads/queue.rs. */
#include "peer.h"

enum { BATCH = 32, BODY = 48 };

struct message {
    struct message *next;
    unsigned char *body;
    uint64_t number;
};

struct queue {
    struct message *first, *last;
};

static struct message *make_message(uint64_t number) {
    struct message *message = object(sizeof *message);
    *message = (struct message){NULL, NULL, number};
    message->body = leaf(BODY);
    memset(message->body, (int)(number & 255), BODY);
    return message;
}

/* Puts messages in, numbered from `number`. */
static void put(struct queue *queue, uint64_t number, uint64_t count) {
    struct message *first = make_message(number), *last = first;
    for (uint64_t next = number + 1; next < number + count; next++)
        last = last->next = make_message(next);
    if (queue->last != NULL)
        queue->last->next = first;
    else
        queue->first = first;
    queue->last = last;
}

static bool is_message(const struct message *message, uint64_t number) {
    unsigned char byte = (unsigned char)number;
    return message->number == number && message->body[0] == byte && message->body[BODY - 1] == byte;
}

/* Takes a batch out; whether these were the messages from `number` on. The queue never gets empty. */
static bool take(struct queue *queue, uint64_t number) {
    bool right = true;
    for (uint64_t next = number; next < number + BATCH; next++) {
        struct message *message = queue->first;
        right &= is_message(message, next);
        queue->first = message->next;
        discard(message->body);
        discard(message);
    }
    return right;
}

int main(int argc, char **argv) {
    peer_open("queue", argc, argv);
    uint64_t messages = parameter("size"), requests = parameter("requests"), next_in = 0;
    struct queue *queue = object(sizeof *queue);
    *queue = (struct queue){NULL, NULL};
    while (next_in < messages) {
        uint64_t count = messages - next_in < BATCH ? messages - next_in : BATCH;
        put(queue, next_in, count);
        next_in += count;
    }

    peer_begin(requests);
    for (uint64_t request = 0; request < requests; request++) {
        put(queue, next_in, BATCH);
        next_in += BATCH;
        require(take(queue, request * BATCH), "a request was not served the messages that were next");
        peer_step();
    }
    peer_end();

    uint64_t hash = 0, expected = requests * BATCH;
    for (const struct message *message = queue->first; message != NULL; message = message->next) {
        require(is_message(message, expected), "a message is damaged");
        hash = fold(fold(fold(hash, message->number), message->body[0]), message->body[BODY - 1]);
        expected++;
    }
    require(expected == next_in, "the queue ends too early");
    return peer_close(hash);
}
