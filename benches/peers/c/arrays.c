/* arrays: large arrays of references, written seldom or often. See lab/src/bench/workloads/arrays.rs. */
#include "peer.h"

enum { DRAWN = 16 };

struct cell {
    uint64_t value;
};

/* Holds the arrays. */
struct shelf {
    struct cell **array;
    struct shelf *next;
};

static struct cell *make_cell(uint64_t value) {
    struct cell *cell = leaf(sizeof *cell);
    cell->value = value;
    return cell;
}

int main(int argc, char **argv) {
    peer_open("arrays", argc, argv);
    uint64_t arrays = parameter("arrays"), size = parameter("size"), steps = parameter("steps");
    uint64_t mutation = parameter("mutation"), garbage = parameter("garbage");
    /* What the steps reach the arrays by; the shelves keep them alive. */
    struct cell ***handles = private_memory(arrays * sizeof *handles);
    struct shelf *shelves = NULL;
    for (uint64_t array = 0; array < arrays; array++) {
        handles[array] = references(size);
        struct shelf *shelf = object(sizeof *shelf);
        *shelf = (struct shelf){handles[array], shelves};
        shelves = shelf;
        for (uint64_t slot = 0; slot < size; slot++)
            handles[array][slot] = make_cell((array * size + slot) << DRAWN);
    }
    uint64_t sum = 0;
    struct random random = random_of(1);

    peer_begin(steps);
    for (uint64_t step = 0; step < steps; step++) {
        if (garbage > 0)
            discard(used(leaf(garbage)));
        for (uint64_t todo = mutation; todo > 0; todo--) {
            uint64_t array = random_below(&random, arrays), slot = random_below(&random, size);
            uint64_t drawn = random_below(&random, 1 << DRAWN);
            struct cell *cell = make_cell((array * size + slot) << DRAWN | drawn), **place = &handles[array][slot];
            sum += drawn - ((*place)->value & ((1 << DRAWN) - 1));
            discard(*place);
            *place = cell;
        }
        peer_step();
    }
    peer_end();

    uint64_t found = 0, hash = 0;
    const struct shelf *shelf = shelves;
    for (uint64_t array = arrays; array > 0; array--, shelf = shelf->next)
        require(shelf != NULL && shelf->array == handles[array - 1], "an array is gone");
    for (uint64_t array = 0; array < arrays; array++) {
        for (uint64_t slot = 0; slot < size; slot++) {
            uint64_t value = handles[array][slot]->value;
            require(value >> DRAWN == array * size + slot, "an array has the cell of another slot");
            found += value & ((1 << DRAWN) - 1);
            hash = fold(hash, value);
        }
    }
    require(found == sum, "the cells do not add up");
    return peer_close(hash);
}
