// The measured window: opens after the warm-up while the traffic goes on, closes after the duration.
#pragma once

#include "histogram.h"
#include "options.h"
#include "server.h"
#include "support.h"

struct measurement {
    const struct options *options;
    // Counted by the modes, always; what the warm-up counted is forgotten when the window opens.
    uint64_t messages;
    uint64_t deliveries;
    uint64_t bytes;
    struct histogram latencies;

    bool open;
    uint64_t begins, ends;
    uint64_t seconds_ns, load_cpu_ns;
    struct server_counters at_begin, during;
    uint64_t seen, seen_at;  // for stalls
    bool may_be_silent;
    struct server_memory memory_before;  // of idle connections
};

// The warm-up begins now. A server that nothing is asked of `may_be_silent`.
void measurement_start(struct measurement *measurement, const struct options *options, bool may_be_silent);

// To be called each turn, at least every 100 ms. Opens and closes the window; false when it is closed. Ends the program when
// nothing has happened for 5 s.
bool measurement_continues(struct measurement *measurement, uint64_t time);

// Prints the line of JSON.
void measurement_report(const struct measurement *measurement);
