// Shared buffers: what one receive brought is kept once, however many connections it is to be sent to.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The room in a buffer that is received into.
enum { RECEIVE_BUFFER_SIZE = 64 * 1024 };

// Freed when nobody refers to it. One thread: the count needs no atomics.
struct buffer {
    struct buffer *next_free;
    uint32_t references;
    uint32_t capacity;
    uint8_t bytes[];
};

// A stretch of a buffer, which it keeps alive.
struct piece {
    struct buffer *buffer;
    const uint8_t *start;
    size_t length;
};

// A buffer of RECEIVE_BUFFER_SIZE with one reference, the one that was given back last if there is one: it is in the cache.
struct buffer *buffer_for_receiving(void);

// A buffer of its own for a copy of these bytes, fewer than RECEIVE_BUFFER_SIZE, with one reference.
struct buffer *buffer_with_copy(const void *bytes, size_t length);

void buffer_free(struct buffer *buffer);

static inline void buffer_retain(struct buffer *buffer) { buffer->references++; }

static inline void buffer_release(struct buffer *buffer) {
    if (--buffer->references == 0) buffer_free(buffer);
}

// Whether slow readers hold so many receive buffers that few bytes had better be copied than keep another one from use.
bool buffers_are_scarce(void);

// malloc and realloc that end the program when there is no memory.
void *allocate(size_t size);
void *reallocate(void *memory, size_t size);
