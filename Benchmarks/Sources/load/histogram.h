// Latencies: a histogram whose buckets are at most 1/128 of their value wide.
#pragma once

#include <stdint.h>

enum { HISTOGRAM_STEPS_LOG2 = 7, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_STEPS_LOG2 + 1) << HISTOGRAM_STEPS_LOG2 };

struct histogram {
    uint64_t count;
    uint64_t largest;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

// Values below 128 have buckets of their own; above, each power of two is divided into 128 steps.
static inline unsigned histogram_bucket(uint64_t value) {
    if (value >> HISTOGRAM_STEPS_LOG2 == 0) return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEPS_LOG2;
    return ((shift + 1) << HISTOGRAM_STEPS_LOG2) + (unsigned)((value >> shift) - (1u << HISTOGRAM_STEPS_LOG2));
}

static inline void histogram_record(struct histogram *histogram, uint64_t value) {
    histogram->count++;
    histogram->buckets[histogram_bucket(value)]++;
    if (value > histogram->largest) histogram->largest = value;
}

// The value that `share` (0 to 1) of all are not above, to within a bucket.
uint64_t histogram_quantile(const struct histogram *histogram, double share);
