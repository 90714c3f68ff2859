// Quantiles of latencies.
#include "histogram.h"

// The middle of a bucket.
static uint64_t value_of(unsigned bucket) {
    unsigned block = bucket >> HISTOGRAM_STEPS_LOG2;
    if (block == 0) return bucket;
    uint64_t step = bucket & ((1u << HISTOGRAM_STEPS_LOG2) - 1);
    unsigned shift = block - 1;
    return ((step + (1u << HISTOGRAM_STEPS_LOG2)) << shift) + ((UINT64_C(1) << shift) >> 1);
}

uint64_t histogram_quantile(const struct histogram *histogram, double share) {
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t value = value_of(bucket);
            return value < histogram->largest ? value : histogram->largest;
        }
    }
    return histogram->largest;
}
