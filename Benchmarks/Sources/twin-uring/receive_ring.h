// The ring of buffers that the kernel receives into, whichever connection has something to receive.
#pragma once

#include <liburing.h>

#include "buffer.h"

enum {
    RECEIVE_RING_GROUP = 0,
    // 2 MiB, which is more than one turn brings. More would cost through the cache, less through receives that end for
    // want of a buffer.
    RECEIVE_RING_ENTRIES = 32,
};

struct receive_slot {
    struct buffer *buffer;
    uint32_t filled;
};

// The kernel fills each buffer from its beginning to its end, with what many receives bring (IOU_PBUF_RING_INC), so that a
// few buffers do for any number of connections, and large messages come in large pieces. A full one is replaced at once,
// by itself if nobody needs it any more: slow readers take nothing from those that receive.
struct receive_ring {
    struct io_uring_buf_ring *entries;
    struct receive_slot slots[RECEIVE_RING_ENTRIES];
    uint16_t full[RECEIVE_RING_ENTRIES];
    unsigned full_count;
};

void receive_ring_open(struct receive_ring *receive_ring, struct io_uring *ring);

// What a receive brought. The piece lives until the next `receive_ring_refill`, or as long as somebody retains its buffer.
struct piece receive_ring_take(struct receive_ring *receive_ring, const struct io_uring_cqe *completion);

// Gives the kernel a new buffer for each full one.
void receive_ring_refill(struct receive_ring *receive_ring);
