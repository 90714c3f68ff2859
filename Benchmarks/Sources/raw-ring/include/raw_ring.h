// No-ops through io_uring with nothing in between: what a dispatch costs at least.
#ifndef RAW_RING_H
#define RAW_RING_H

#include <stdint.h>

/// Runs `count` no-ops, `inFlight` at a time, each started by the completion of another. Returns 0, or a negative errno.
int raw_ring_run(uint64_t count, unsigned inFlight);

#endif
