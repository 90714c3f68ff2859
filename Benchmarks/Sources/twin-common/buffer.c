// Shared buffers: allocation, and a free list of those that are received into.
#include "buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    // More free buffers than this go back to malloc.
    LONGEST_FREE_LIST = 64,
    // 16 MiB; without slow readers far fewer are in use.
    MANY_BUFFERS = 256,
};

static struct buffer *free_list;
static unsigned free_count;
static unsigned in_use;

static void *or_end(void *memory) {
    if (memory) return memory;
    fputs("out of memory\n", stderr);
    exit(1);
}

void *allocate(size_t size) { return or_end(malloc(size)); }

void *reallocate(void *memory, size_t size) { return or_end(realloc(memory, size)); }

static struct buffer *buffer_new(uint32_t capacity) {
    struct buffer *buffer = allocate(sizeof *buffer + capacity);
    *buffer = (struct buffer){.references = 1, .capacity = capacity};
    return buffer;
}

struct buffer *buffer_for_receiving(void) {
    in_use++;
    if (!free_list) return buffer_new(RECEIVE_BUFFER_SIZE);
    struct buffer *buffer = free_list;
    free_list = buffer->next_free;
    free_count--;
    buffer->references = 1;
    return buffer;
}

struct buffer *buffer_with_copy(const void *bytes, size_t length) {
    struct buffer *buffer = buffer_new((uint32_t)length);
    memcpy(buffer->bytes, bytes, length);
    return buffer;
}

void buffer_free(struct buffer *buffer) {
    if (buffer->capacity != RECEIVE_BUFFER_SIZE) {
        free(buffer);
        return;
    }
    in_use--;
    if (free_count == LONGEST_FREE_LIST) {
        free(buffer);
        return;
    }
    buffer->next_free = free_list;
    free_list = buffer;
    free_count++;
}

bool buffers_are_scarce(void) { return in_use > MANY_BUFFERS; }
