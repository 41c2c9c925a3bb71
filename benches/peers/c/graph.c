/* graph: one random graph that is mutated all over. See lab/src/bench/workloads/graph.rs. */
#include "peer.h"

enum { EDGES = 4, STEP = 32 };

struct label {
    uint64_t vertex, turn;
};

struct vertex {
    struct vertex *edges[EDGES];
    struct label *label;
    uint64_t number;
};

static struct label *make_label(uint64_t vertex, uint64_t turn) {
    struct label *label = leaf(sizeof *label);
    *label = (struct label){vertex, turn};
    return label;
}

int main(int argc, char **argv) {
    peer_open("graph", argc, argv);
    uint64_t vertices = parameter("size"), mutations = parameter("mutations"), garbage = parameter("garbage");
    struct random random = random_of(1);
    struct vertex **table = references(vertices);
    for (uint64_t number = 0; number < vertices; number++) {
        struct vertex *vertex = object(sizeof *vertex);
        *vertex = (struct vertex){{NULL}, NULL, number};
        vertex->label = make_label(number, 0);
        table[number] = vertex;
    }
    for (uint64_t number = 0; number < vertices; number++)
        for (int edge = 0; edge < EDGES; edge++)
            table[number]->edges[edge] = table[random_below(&random, vertices)];
    uint64_t *turns = private_memory(vertices * sizeof *turns);
    memset(turns, 0, vertices * sizeof *turns);

    peer_begin((mutations + STEP - 1) / STEP);
    for (uint64_t left = mutations; left > 0;) {
        uint64_t todo = left < STEP ? left : STEP;
        left -= todo;
        for (; todo > 0; todo--) {
            if (garbage > 0)
                discard(used(leaf(garbage)));
            uint64_t number = random_below(&random, vertices);
            struct label *label = make_label(number, ++turns[number]);
            discard(table[number]->label);
            table[number]->label = label;
            struct vertex *from = table[random_below(&random, vertices)];
            struct vertex *to = table[random_below(&random, vertices)];
            from->edges[random_below(&random, EDGES)] = to;
        }
        peer_step();
    }
    peer_end();

    uint64_t hash = 0;
    for (uint64_t number = 0; number < vertices; number++) {
        const struct vertex *vertex = table[number];
        const struct label *label = vertex->label;
        require(vertex->number == number && label->vertex == number && label->turn == turns[number], "a vertex is damaged");
        hash = fold(fold(fold(hash, vertex->number), label->vertex), label->turn);
        for (int edge = 0; edge < EDGES; edge++) {
            const struct vertex *to = vertex->edges[edge];
            require(to->number < vertices && table[to->number] == to, "an edge leads nowhere");
            hash = fold(hash, to->number);
        }
    }
    return peer_close(hash);
}
