#define _GNU_SOURCE
#include "CReactorSupport.h"

#include <string.h>
#include <linux/sockios.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

// Not in the header: the Swift importer never emits storage for a `static __thread` it sees in one.
__thread void *creactor_current_reactor;

int creactor_eventfd(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

uint64_t creactor_locked_memory_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return limit.rlim_cur;
}

int creactor_unacknowledged_bytes(int socket) {
    int bytes;
    return ioctl(socket, SIOCOUTQ, &bytes) == 0 ? bytes : -1;
}

const uint8_t *creactor_memrchr(const uint8_t *start, uint8_t byte, size_t count) {
    return memrchr(start, byte, count);
}

const char *creactor_errno_name(int number) {
    return strerrorname_np(number);
}
