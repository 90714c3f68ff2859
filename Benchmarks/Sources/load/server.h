// What the kernel and a preloaded library tell about the server: CPU time, system calls, allocations, memory.
#pragma once

#include "options.h"

// Counters at one moment; those that nobody asked for are 0.
struct server_counters {
    uint64_t cpu_ns;
    uint64_t syscalls;
    uint64_t allocations;
};

struct server_memory {
    uint64_t resident_kib;
    uint64_t private_kib;
};

// Opens whatever the options ask for.
void server_watch(const struct options *options);

struct server_counters server_count(void);
struct server_memory server_memory_now(void);
