// The ring of buffers that the kernel receives into.
#include "receive_ring.h"

#include <errno.h>
#include <stdlib.h>

#include "server.h"

// Newer than the header of liburing 2.3.
enum { PBUF_RING_INCREMENTAL = 2, COMPLETION_BUFFER_MORE = 1 << 4 };

static void put(struct receive_ring *receive_ring, uint16_t index, int offset) {
    const struct receive_slot *slot = &receive_ring->slots[index];
    int mask = io_uring_buf_ring_mask(RECEIVE_RING_ENTRIES);
    io_uring_buf_ring_add(receive_ring->entries, slot->buffer->bytes, RECEIVE_BUFFER_SIZE, index, mask, offset);
}

void receive_ring_open(struct receive_ring *receive_ring, struct io_uring *ring) {
    *receive_ring = (struct receive_ring){0};
    if (posix_memalign((void **)&receive_ring->entries, 4096, RECEIVE_RING_ENTRIES * sizeof(struct io_uring_buf)) != 0) {
        server_fail("posix_memalign", ENOMEM);
    }
    io_uring_buf_ring_init(receive_ring->entries);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)receive_ring->entries,
        .ring_entries = RECEIVE_RING_ENTRIES,
        .bgid = RECEIVE_RING_GROUP,
        .pad = PBUF_RING_INCREMENTAL,  // called `flags` since Linux 6.12
    };
    int result = io_uring_register_buf_ring(ring, &registration, 0);
    if (result < 0) server_fail("io_uring_register_buf_ring (incremental buffers need Linux 6.12)", -result);
    for (uint16_t i = 0; i < RECEIVE_RING_ENTRIES; i++) {
        receive_ring->slots[i].buffer = buffer_for_receiving();
        put(receive_ring, i, i);
    }
    io_uring_buf_ring_advance(receive_ring->entries, RECEIVE_RING_ENTRIES);
}

struct piece receive_ring_take(struct receive_ring *receive_ring, const struct io_uring_cqe *completion) {
    uint16_t index = (uint16_t)(completion->flags >> IORING_CQE_BUFFER_SHIFT);
    struct receive_slot *slot = &receive_ring->slots[index];
    struct piece piece = {slot->buffer, slot->buffer->bytes + slot->filled, (size_t)completion->res};
    slot->filled += (uint32_t)completion->res;
    if (!(completion->flags & COMPLETION_BUFFER_MORE)) receive_ring->full[receive_ring->full_count++] = index;
    return piece;
}

void receive_ring_refill(struct receive_ring *receive_ring) {
    if (receive_ring->full_count == 0) return;
    for (unsigned i = 0; i < receive_ring->full_count; i++) {
        uint16_t index = receive_ring->full[i];
        struct receive_slot *slot = &receive_ring->slots[index];
        if (slot->buffer->references > 1) {
            buffer_release(slot->buffer);
            slot->buffer = buffer_for_receiving();
        }
        slot->filled = 0;
        put(receive_ring, index, (int)i);
    }
    io_uring_buf_ring_advance(receive_ring->entries, (int)receive_ring->full_count);
    receive_ring->full_count = 0;
}
