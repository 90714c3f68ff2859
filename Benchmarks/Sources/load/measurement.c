// The measured window, and the report.
#include "measurement.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STALL_SECONDS = 5 };

void measurement_start(struct measurement *measurement, const struct options *options, bool may_be_silent) {
    uint64_t time = now();
    measurement->options = options;
    measurement->may_be_silent = may_be_silent;
    measurement->begins = time + (uint64_t)(options->warm_up * SECOND);
    measurement->seen_at = time;
}

static void open_window(struct measurement *measurement) {
    measurement->open = true;
    measurement->messages = measurement->deliveries = measurement->bytes = 0;
    measurement->seen = 0;
    memset(&measurement->latencies, 0, sizeof measurement->latencies);
    measurement->at_begin = server_count();
    measurement->load_cpu_ns = clock_read(CLOCK_PROCESS_CPUTIME_ID);
    measurement->begins = now();
    measurement->ends = measurement->begins + (uint64_t)(measurement->options->duration * SECOND);
}

static void close_window(struct measurement *measurement) {
    struct server_counters end = server_count();
    measurement->load_cpu_ns = clock_read(CLOCK_PROCESS_CPUTIME_ID) - measurement->load_cpu_ns;
    measurement->seconds_ns = now() - measurement->begins;
    measurement->during = (struct server_counters){
        .cpu_ns = end.cpu_ns - measurement->at_begin.cpu_ns,
        .syscalls = end.syscalls - measurement->at_begin.syscalls,
        .allocations = end.allocations - measurement->at_begin.allocations,
    };
}

static void watch_for_stall(struct measurement *measurement, uint64_t time) {
    uint64_t seen = measurement->bytes;
    if (seen != measurement->seen || measurement->may_be_silent) {
        measurement->seen = seen;
        measurement->seen_at = time;
    } else if (time - measurement->seen_at > (uint64_t)STALL_SECONDS * SECOND) {
        fail("stalled: nothing came for %d s, after %" PRIu64 " messages and %" PRIu64 " deliveries %s", STALL_SECONDS,
             measurement->messages, measurement->deliveries, measurement->open ? "in the window" : "in the warm-up");
    }
}

bool measurement_continues(struct measurement *measurement, uint64_t time) {
    watch_for_stall(measurement, time);
    if (!measurement->open) {
        if (time >= measurement->begins) open_window(measurement);
        return true;
    }
    if (time < measurement->ends) return true;
    if (measurement->bytes == 0 && !measurement->may_be_silent) fail("nothing came in the whole window");
    close_window(measurement);
    return false;
}

// MARK: - Reporting

static void print_number(const char *key, bool applies, uint64_t value) {
    if (applies) printf(",\"%s\":%" PRIu64, key, value);
    else printf(",\"%s\":null", key);
}

static void print_latencies(const struct histogram *latencies) {
    bool any = latencies->count > 0;
    print_number("p50_ns", any, histogram_quantile(latencies, 0.5));
    print_number("p90_ns", any, histogram_quantile(latencies, 0.9));
    print_number("p99_ns", any, histogram_quantile(latencies, 0.99));
    print_number("p999_ns", any, histogram_quantile(latencies, 0.999));
    print_number("max_ns", any, latencies->largest);
}

static void print_memory(const struct measurement *measurement) {
    const struct options *options = measurement->options;
    bool watched = options->server != 0, idle = watched && options->mode == MODE_IDLE;
    struct server_memory memory = server_memory_now();
    uint64_t before = measurement->memory_before.private_kib;
    uint64_t grown = memory.private_kib > before ? memory.private_kib - before : 0;
    print_number("server_rss_kib", watched, memory.resident_kib);
    print_number("server_private_kib", watched, memory.private_kib);
    print_number("server_private_kib_before", idle, before);
    if (idle) printf(",\"bytes_per_connection\":%.1f", (double)grown * 1024 / options->connections);
    else print_number("bytes_per_connection", false, 0);
}

void measurement_report(const struct measurement *measurement) {
    const struct options *options = measurement->options;
    bool traffic = options->mode != MODE_IDLE;
    printf("{\"seconds\":%.6f", (double)measurement->seconds_ns / SECOND);
    print_number("messages", traffic, measurement->messages);
    print_number("deliveries", traffic, options->mode == MODE_FANOUT ? measurement->deliveries : measurement->messages);
    print_number("bytes", traffic, measurement->bytes);
    print_number("server_cpu_ns", options->server != 0, measurement->during.cpu_ns);
    print_number("load_cpu_ns", true, measurement->load_cpu_ns);
    print_latencies(&measurement->latencies);
    print_number("server_syscalls", options->count_syscalls, measurement->during.syscalls);
    print_number("server_allocations", options->allocation_counter != NULL, measurement->during.allocations);
    print_memory(measurement);
    puts("}");
}
