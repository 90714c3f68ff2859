// What Swift cannot say: thread-local storage that costs one instruction to reach, and what glibc declares only for
// _GNU_SOURCE or outside of Swift's Glibc module.

#ifndef CREACTOR_SUPPORT_H
#define CREACTOR_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

/// The reactor that runs on the calling thread, or NULL. Unowned. Asked for each send: initial-exec makes it two
/// instructions, and the few bytes of static thread-local storage that it takes are there also for what dlopen(3) loads.
extern __thread void *_Nullable creactor_current_reactor __attribute__((tls_model("initial-exec")));

static inline void *_Nullable creactor_current(void) {
    return creactor_current_reactor;
}

static inline void creactor_set_current(void *_Nullable reactor) {
    creactor_current_reactor = reactor;
}

/// A number that no other live thread has: its thread pointer. One instruction; a variable of a library's that is local to a
/// thread would be a call.
static inline uintptr_t creactor_thread_identity(void) {
    return (uintptr_t)__builtin_thread_pointer();
}

/// eventfd(2), close-on-exec and non-blocking; -1 and errno if it fails.
int creactor_eventfd(void);

/// RLIMIT_MEMLOCK in bytes, or UINT64_MAX for none.
uint64_t creactor_locked_memory_limit(void);

/// Bytes sent but not acknowledged: ioctl(2) with SIOCOUTQ, see tcp(7); -1 and errno if it fails.
int creactor_unacknowledged_bytes(int socket);

/// memrchr(3).
const uint8_t *_Nullable creactor_memrchr(const uint8_t *_Nonnull start, uint8_t byte, size_t count);

/// The symbol of an errno, such as "ECONNRESET", or NULL: strerrorname_np(3).
const char *_Nullable creactor_errno_name(int number);

#endif
