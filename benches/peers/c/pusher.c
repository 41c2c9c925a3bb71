/* pusher: a window of buffers, the newest pushing out the oldest. See lab/src/bench/workloads/pusher.rs. */
#include "peer.h"

int main(int argc, char **argv) {
    peer_open("pusher", argc, argv);
    uint64_t window = parameter("window"), pushes = parameter("pushes"), bytes = parameter("bytes");
    unsigned char **ring = references(window);

    peer_begin(pushes);
    for (uint64_t number = 0; number < pushes; number++) {
        unsigned char *buffer = leaf(bytes), **place = &ring[number % window];
        memset(buffer, (int)(number & 255), bytes);
        memcpy(buffer, &number, sizeof number);
        discard(*place);
        *place = buffer;
        peer_step();
    }
    peer_end();

    uint64_t hash = 0;
    for (uint64_t number = pushes > window ? pushes - window : 0; number < pushes; number++) {
        const unsigned char *buffer = ring[number % window];
        uint64_t first;
        memcpy(&first, buffer, sizeof first);
        require(first == number, "the buffer of a push is another's");
        for (uint64_t byte = sizeof first; byte < bytes; byte++)
            require(buffer[byte] == (unsigned char)number, "the buffer of a push is damaged");
        hash = fold(fold(hash, first), buffer[bytes - 1]);
    }
    return peer_close(hash);
}
