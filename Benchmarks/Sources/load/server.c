// Reads the server's counters.
#define _GNU_SOURCE
#include "server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

enum { MOST_TASKS = 1024 };

static int server;
static int allocation_file = -1;
static int syscall_counters[MOST_TASKS];
static unsigned syscall_counter_count;

// Calls `visit` with each task of the server.
static void for_each_task(void (*visit)(int task, void *context), void *context) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", server);
    DIR *tasks = opendir(path);
    if (!tasks) fail("there is no server with the process id %d", server);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        if (entry->d_name[0] != '.') visit(atoi(entry->d_name), context);
    }
    closedir(tasks);
}

static void add_cpu_time(int task, void *context) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", server, task);
    FILE *file = fopen(path, "re");
    if (!file) return;  // has just ended
    unsigned long long ran;
    if (fscanf(file, "%llu", &ran) == 1) *(uint64_t *)context += ran;
    fclose(file);
}

// MARK: - System calls

static FILE *open_tracepoint(void) {
    const char *path = "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id";
    FILE *file = fopen(path, "re");
    if (file) return file;
    if (mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) != 0) {
        fail_errno("cannot mount tracefs to count system calls");
    }
    file = fopen(path, "re");
    if (!file) fail_errno(path);
    return file;
}

static uint64_t tracepoint_number(void) {
    FILE *file = open_tracepoint();
    unsigned long long number;
    if (fscanf(file, "%llu", &number) != 1) fail("the tracepoint raw_syscalls:sys_enter has no number");
    fclose(file);
    return number;
}

static void count_syscalls_of(int task, void *context) {
    if (syscall_counter_count == MOST_TASKS) fail("the server has more than %d tasks", MOST_TASKS);
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_TRACEPOINT, .size = sizeof attributes, .config = *(uint64_t *)context, .inherit = 1};
    long counter = syscall(SYS_perf_event_open, &attributes, task, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (counter < 0 && errno == ESRCH) return;  // has just ended
    if (counter < 0) fail_errno("perf_event_open, to count system calls");
    syscall_counters[syscall_counter_count++] = (int)counter;
}

static uint64_t counted_syscalls(void) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < syscall_counter_count; i++) {
        uint64_t value;
        if (read(syscall_counters[i], &value, sizeof value) != sizeof value) fail_errno("reading a counter of system calls");
        sum += value;
    }
    return sum;
}

// MARK: - Allocations

static uint64_t counted_allocations(void) {
    uint64_t value = 0;
    if (allocation_file < 0) return 0;
    if (pread(allocation_file, &value, sizeof value, 0) != sizeof value) fail("the allocation counter holds no number");
    return value;
}

// MARK: - All

void server_watch(const struct options *options) {
    server = options->server;
    if (options->count_syscalls) {
        uint64_t tracepoint = tracepoint_number();
        for_each_task(count_syscalls_of, &tracepoint);
    }
    if (options->allocation_counter) {
        allocation_file = open(options->allocation_counter, O_RDONLY | O_CLOEXEC);
        if (allocation_file < 0) fail_errno(options->allocation_counter);
    }
}

struct server_counters server_count(void) {
    struct server_counters counters = {.syscalls = counted_syscalls(), .allocations = counted_allocations()};
    if (server) for_each_task(add_cpu_time, &counters.cpu_ns);
    return counters;
}

struct server_memory server_memory_now(void) {
    struct server_memory memory = {0};
    if (!server) return memory;
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", server);
    FILE *file = fopen(path, "re");
    if (!file) fail_errno(path);
    while (fgets(line, sizeof line, file)) {
        unsigned long long kib;
        if (sscanf(line, "Rss: %llu", &kib) == 1) memory.resident_kib = kib;
        if (sscanf(line, "Private_Clean: %llu", &kib) == 1) memory.private_kib += kib;
        if (sscanf(line, "Private_Dirty: %llu", &kib) == 1) memory.private_kib += kib;
    }
    fclose(file);
    return memory;
}
