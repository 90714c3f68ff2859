// What tests need and Swift cannot do: to stand between the process and its allocator, and to have a system call fail.

#ifndef C_TEST_SUPPORT_H
#define C_TEST_SUPPORT_H

#include <stdbool.h>
#include <stdint.h>

/// Whether allocations are counted: not under a sanitizer, which has an allocator of its own.
bool allocation_counter_works(void);

/// Calls of malloc, calloc, realloc, posix_memalign and aligned_alloc by this thread so far.
uint64_t allocation_count(void);

/// From now on every allocation of this thread prints its stack to standard error, until called with false.
void allocation_trace(bool on);

/// From now on a system call fails with `error` in this process and its children: seccomp(2). For exit tests, since there
/// is no way back. 0, or -1 and errno.
int deny_system_call(long number, int error);

/// The number of io_uring_setup(2).
long system_call_io_uring_setup(void);

/// The descriptors of this process that are open.
int open_descriptors(void);

/// Starts a program: its path, its arguments, and NULL. It writes to `output`, and inherits no other descriptor of this
/// process, for what we close must be closed. Killed if the calling thread ends before, so that tests that are interrupted
/// leave nothing running. Its id, or -1 and errno; status 127 if it cannot be executed.
int start_process(const char *const *arguments, int output);

#endif
