/* sweep: allocation at a given rate, whether or not the last request is done. See lab/src/bench/workloads/sweep.rs. */
#include "peer.h"

enum { GROUP = 512, SIZES = 64, REQUEST = 2 * SIZES };

/* With its body an object. The body has the object's number in its first and in its last eight bytes. */
struct item {
    struct item *next;
    unsigned char *body;
};

struct store {
    struct item ***groups, **queue;
    uint64_t objects, group_count;
};

/* Bytes in the body of the object at a place. */
static size_t body_size(uint64_t place) {
    return 80 + 14 * (place % SIZES);
}

/* What a request's objects take in pagemark's heap, which the rate is given in: each a type word, two references; a type word, a length, a body. */
static uint64_t request_bytes(void) {
    uint64_t bytes = 0;
    for (uint64_t place = 0; place < REQUEST; place++)
        bytes += 32 + (16 + body_size(place) + 15) / 16 * 16;
    return bytes;
}

static struct item *make_item(uint64_t place, uint64_t number) {
    struct item *item = object(sizeof *item);
    *item = (struct item){NULL, NULL};
    size_t size = body_size(place);
    item->body = memset(leaf(size), 0, size);
    memcpy(item->body, &number, sizeof number);
    memcpy(item->body + size - sizeof number, &number, sizeof number);
    return item;
}

/* The number of an object of the size of `place`; both its ends must say the same. */
static uint64_t number_of(const struct item *item, uint64_t place) {
    uint64_t first, last;
    memcpy(&first, item->body, sizeof first);
    memcpy(&last, item->body + body_size(place) - sizeof last, sizeof last);
    require(first == last, "an object is damaged");
    return first;
}

static struct item *item_at(const struct store *store, uint64_t place) {
    return store->groups[place / GROUP][place % GROUP];
}

/* Perhaps one of the group before refers to the object from now on. */
static void refer_from_before(struct store *store, uint64_t place, struct random *random) {
    uint64_t group = place / GROUP;
    if (group > 0 && random_below(random, 2) == 0)
        item_at(store, (group - 1) * GROUP + random_below(random, GROUP))->next = item_at(store, place);
}

/* The object refers to one of the next group from now on, or to none. */
static void refer(struct store *store, uint64_t place, struct random *random) {
    uint64_t next = place / GROUP + 1;
    if (next >= store->group_count)
        return;
    uint64_t rest = store->objects - next * GROUP, length = rest < GROUP ? rest : GROUP;
    struct item *to = random_below(random, 2) == 0 ? item_at(store, next * GROUP + random_below(random, length)) : NULL;
    item_at(store, place)->next = to;
}

/* What has left the queue goes to a random place of its size: its body does. Returns the number of what was there. */
static uint64_t replace(struct store *store, struct item *oldest, uint64_t made, struct random *random) {
    uint64_t size = made % SIZES;
    uint64_t place = size + SIZES * random_below(random, (store->objects - size + SIZES - 1) / SIZES);
    struct item *item = item_at(store, place);
    uint64_t replaced = number_of(item, place);
    discard(item->body);
    item->body = oldest->body;
    discard(oldest);
    refer_from_before(store, place, random);
    refer(store, place, random);
    return replaced;
}

/* One of `n` groups gets new references, and is written to. The last group has none to refer to. */
static void shuffle(struct store *store, uint64_t n, struct random *random) {
    if (store->group_count < 2)
        return;
    for (uint64_t times = (store->group_count + n - 1) / n; times > 0; times--) {
        uint64_t group = random_below(random, store->group_count - 1);
        for (uint64_t place = group * GROUP; place < (group + 1) * GROUP; place++) {
            refer(store, place, random);
            item_at(store, place)->body[8 + random_below(random, body_size(place) - 16)]++;
        }
    }
}

int main(int argc, char **argv) {
    peer_open("sweep", argc, argv);
    uint64_t objects = parameter("size"), queue = (parameter("queue") + SIZES - 1) / SIZES * SIZES;
    uint64_t rate = parameter("rate"), seconds = parameter("seconds"), prune = parameter("prune"), groups = parameter("shuffle");
    struct random random = random_of(1);
    struct store *store = object(sizeof *store);
    *store = (struct store){NULL, NULL, objects, (objects + GROUP - 1) / GROUP};
    store->groups = references(store->group_count);
    store->queue = references(queue);
    uint64_t sum = 0, made = 0;
    for (uint64_t group = 0; group < store->group_count; group++) {
        store->groups[group] = references(GROUP);
        uint64_t from = group * GROUP, to = objects - from < GROUP ? objects : from + GROUP;
        for (uint64_t place = from; place < to; place++) {
            store->groups[group][place % GROUP] = make_item(place, place);
            sum += place;
        }
        for (uint64_t place = from; place < to; place++)
            refer_from_before(store, place, &random);
    }
    for (; made < queue; made++)
        store->queue[made] = make_item(made, made);
    uint64_t between = request_bytes() * 1000000000 / (rate << 20);
    uint64_t requests = (seconds * 1000000000 + between - 1) / between;
    /* Objects of the store times nanoseconds: what is owed it, and what one replacement costs. */
    uint64_t owed = 0, price = prune * 60000000000;

    peer_begin(requests);
    for (uint64_t request = 0; request < requests; request++) {
        peer_wait_until(request * between);
        owed += between * objects;
        if (owed > price * REQUEST)
            owed = price * REQUEST;
        for (int todo = REQUEST; todo > 0; todo--, made++) {
            struct item *new = make_item(made, made), **slot = &store->queue[made % queue], *oldest = *slot;
            *slot = new;
            if (owed >= price) {
                owed -= price;
                sum += made - queue - replace(store, oldest, made, &random);
                if (random_below(&random, 2) == 0)
                    shuffle(store, groups, &random);
            } else {
                discard(oldest->body);
                discard(oldest);
            }
        }
        peer_step();
    }
    peer_end();

    /* What an object refers to has the size of a place that only it knows, so the objects of the store are checked first. */
    uint64_t found = 0, hash = 0;
    for (uint64_t place = 0; place < objects; place++)
        found += number_of(item_at(store, place), place);
    require(found == sum, "the objects do not add up");
    for (uint64_t place = 0; place < objects; place++) {
        const struct item *item = item_at(store, place);
        uint64_t next = 0;
        if (item->next != NULL)
            memcpy(&next, item->next->body, sizeof next);
        hash = fold(fold(hash, number_of(item, place)), item->next == NULL ? 0 : next + 1);
    }
    for (uint64_t expected = made - queue; expected < made; expected++) {
        require(number_of(store->queue[expected % queue], expected) == expected, "an object is not in its place in the queue");
        hash = fold(hash, expected);
    }
    return peer_close(hash);
}
