/* scatter: one write to a random old page at a time. See lab/src/bench/workloads/scatter.rs. */
#include "peer.h"

enum { STEP = 64, WORDS = 510 };

struct cell {
    uint64_t value;
};

struct page {
    struct cell *cell;
    uint64_t words[WORDS];
};

static struct cell *make_cell(uint64_t value) {
    struct cell *cell = leaf(sizeof *cell);
    cell->value = value;
    return cell;
}

int main(int argc, char **argv) {
    peer_open("scatter", argc, argv);
    uint64_t pages = parameter("size"), writes = parameter("writes"), garbage = parameter("garbage");
    struct page **table = references(pages);
    uint64_t sum = 0;
    for (uint64_t index = 0; index < pages; index++) {
        struct page *page = object(sizeof *page);
        page->cell = make_cell(index);
        for (int word = 0; word < WORDS; word++)
            page->words[word] = index;
        table[index] = page;
        sum += index;
    }
    struct random random = random_of(1);

    peer_begin((writes + STEP - 1) / STEP);
    for (uint64_t left = writes; left > 0;) {
        uint64_t todo = left < STEP ? left : STEP;
        left -= todo;
        for (; todo > 0; todo--) {
            if (garbage > 0)
                discard(used(leaf(garbage)));
            struct cell *cell = make_cell(random_below(&random, UINT64_C(1) << 32));
            struct page *page = table[random_below(&random, pages)];
            sum += cell->value - page->cell->value;
            discard(page->cell);
            page->cell = cell;
        }
        peer_step();
    }
    peer_end();

    uint64_t found = 0, hash = 0;
    for (uint64_t index = 0; index < pages; index++) {
        const struct page *page = table[index];
        for (int word = 0; word < WORDS; word++)
            require(page->words[word] == index, "a page is damaged");
        found += page->cell->value;
        hash = fold(fold(hash, page->words[0]), page->cell->value);
    }
    require(found == sum, "the cells do not add up");
    return peer_close(hash);
}
