// What waits to be sent on a connection.
#include "queue.h"

#include <stdlib.h>

enum {
    FIRST_CAPACITY = 4,
    // An empty queue keeps room for no more than this, so that idle connections are small.
    KEPT_CAPACITY = 64,
};

static void grow(struct queue *queue) {
    uint32_t capacity = queue->capacity ? queue->capacity * 2 : FIRST_CAPACITY;
    struct piece *pieces = allocate(capacity * sizeof *pieces);
    for (uint32_t i = 0; i < queue->count; i++) pieces[i] = *queue_piece(queue, i);
    free(queue->pieces);
    queue->pieces = pieces;
    queue->capacity = capacity;
    queue->first = 0;
}

// What one receive brings after another stands in a buffer one after another: then the last piece just becomes longer, even
// while its beginning is being sent, and what is sent together needs no vectors.
static bool extend_last(struct queue *queue, const struct buffer *buffer, const uint8_t *start, size_t length) {
    if (queue->count == 0) return false;
    struct piece *last = queue_piece(queue, queue->count - 1);
    if (last->buffer != buffer || last->start + last->length != start) return false;
    last->length += length;
    return true;
}

void queue_append(struct queue *queue, struct buffer *buffer, const uint8_t *start, size_t length) {
    queue->bytes += length;
    if (extend_last(queue, buffer, start, length)) return;
    if (queue->count == queue->capacity) grow(queue);
    buffer_retain(buffer);
    *queue_piece(queue, queue->count) = (struct piece){buffer, start, length};
    queue->count++;
}

unsigned queue_vectors(const struct queue *queue, struct iovec *vectors, unsigned room) {
    unsigned count = queue->count < room ? queue->count : room;
    for (unsigned i = 0; i < count; i++) {
        const struct piece *piece = queue_piece(queue, i);
        vectors[i] = (struct iovec){(void *)piece->start, piece->length};
    }
    return count;
}

static void shrink_if_empty(struct queue *queue) {
    if (queue->count > 0 || queue->capacity <= KEPT_CAPACITY) return;
    free(queue->pieces);
    *queue = (struct queue){0};
}

void queue_consume(struct queue *queue, size_t length) {
    queue->bytes -= length;
    while (length > 0) {
        struct piece *piece = queue_piece(queue, 0);
        if (length < piece->length) {
            piece->start += length;
            piece->length -= length;
            return;
        }
        length -= piece->length;
        buffer_release(piece->buffer);
        queue->first++;
        queue->count--;
    }
    shrink_if_empty(queue);
}

void queue_clear(struct queue *queue) {
    for (uint32_t i = 0; i < queue->count; i++) buffer_release(queue_piece(queue, i)->buffer);
    free(queue->pieces);
    *queue = (struct queue){0};
}
