// Endless streams of known bytes: a block over and over. What is sent stands ready in memory, and what comes back can be
// compared with it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream {
    uint8_t *bytes;
    size_t length;
};

// Fills memory with lower-case letters and digits that look random: no line ends, and no command.
void fill_with_letters(uint8_t *bytes, size_t length, uint64_t seed);

// Sends what the stream has from `position` to `end`, as far as the socket takes it; returns the new position. A broken
// connection ends the program.
uint64_t stream_send(const struct stream *stream, int descriptor, uint64_t position, uint64_t end);

// Whether these bytes are what the stream has at `position`.
bool stream_has(const struct stream *stream, uint64_t position, const uint8_t *bytes, size_t length);
