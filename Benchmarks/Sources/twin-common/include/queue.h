// What waits to be sent on a connection: pieces of shared buffers, in order.
#pragma once

#include <sys/uio.h>

#include "buffer.h"

// A ring of pieces that grows. All zero is an empty queue, which owns no memory.
struct queue {
    struct piece *pieces;
    uint32_t first;
    uint32_t count;
    uint32_t capacity;  // 0 or a power of two
    size_t bytes;
};

// Refers to the bytes; one reference more if they do not continue the last piece.
void queue_append(struct queue *queue, struct buffer *buffer, const uint8_t *start, size_t length);

// Describes the first pieces, at most `room`; says how many.
unsigned queue_vectors(const struct queue *queue, struct iovec *vectors, unsigned room);

// The first `length` bytes have been sent.
void queue_consume(struct queue *queue, size_t length);

void queue_clear(struct queue *queue);

static inline struct piece *queue_piece(const struct queue *queue, uint32_t index) {
    return &queue->pieces[(queue->first + index) & (queue->capacity - 1)];
}
