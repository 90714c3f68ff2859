// Time, failure, memory.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { SECOND = 1000000000 };

static inline uint64_t clock_read(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static inline uint64_t now(void) { return clock_read(CLOCK_MONOTONIC); }

// Says what went wrong on stderr and ends the program.
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// The same, with the cause that errno tells.
_Noreturn void fail_errno(const char *what);

// Zeroed memory for `count` of `size` bytes.
void *allocate(size_t count, size_t size);
