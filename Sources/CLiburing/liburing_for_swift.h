// liburing for Swift: the header itself, the constants newer than the header that Debian 12 installs (2.3), and the
// few atomic accesses to ring memory that Swift cannot express on plain pointers.

#ifndef LIBURING_FOR_SWIFT_H
#define LIBURING_FOR_SWIFT_H

// Before liburing.h, and without _GNU_SOURCE: liburing.h would switch on XOPEN, and fd_set would then differ from the
// one in Swift's Glibc module ("__fds_bits not present").
#include <sys/types.h>

#if !__has_include(<liburing.h>)
#error "liburing.h is missing. Install liburing 2.3 or newer: `apt-get install liburing-dev` (Debian, Ubuntu)."
#endif
// liburing brings a copy of the kernel's header with the same include guard. swift-system's module holds the kernel's own,
// and two definitions of io_uring_sqe in one program must be the same one.
#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#endif
#include <liburing.h>
// struct statx, which glibc declares only for _GNU_SOURCE.
#include <linux/stat.h>

// Linux 6.4: a timeout that fires again and again from one submission.
#ifndef IORING_TIMEOUT_MULTISHOT
#define IORING_TIMEOUT_MULTISHOT (1U << 6)
#endif

// Linux 6.10: one receive fills several provided buffers. Linux 6.12: a provided buffer is used up bit by bit.
#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4)
#endif
// Linux 6.2: the notification of a zero-copy send says whether the data was copied after all.
#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)
#endif
#ifndef IORING_NOTIF_USAGE_ZC_COPIED
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

// io_uring.h spells these with casts or shifts that Swift does not import with a useful type.
enum {
    RING_SETUP_CQSIZE = IORING_SETUP_CQSIZE,
    RING_SETUP_CLAMP = IORING_SETUP_CLAMP,
    RING_SETUP_R_DISABLED = IORING_SETUP_R_DISABLED,
    RING_SETUP_SUBMIT_ALL = IORING_SETUP_SUBMIT_ALL,
    RING_SETUP_COOP_TASKRUN = IORING_SETUP_COOP_TASKRUN,
    RING_SETUP_TASKRUN_FLAG = IORING_SETUP_TASKRUN_FLAG,
    RING_SETUP_SINGLE_ISSUER = IORING_SETUP_SINGLE_ISSUER,
    RING_SETUP_DEFER_TASKRUN = IORING_SETUP_DEFER_TASKRUN,
    RING_TIMEOUT_MULTISHOT = IORING_TIMEOUT_MULTISHOT,
    RING_AT_EMPTY_PATH = 0x1000, // AT_EMPTY_PATH, likewise only for _GNU_SOURCE
};

// Ring indices are shared with the kernel: io_uring(7), "acquire" on what the kernel writes, "release" on what we write.
static inline unsigned ring_load_acquire(const unsigned *index) {
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static inline unsigned ring_load_relaxed(const unsigned *index) {
    return __atomic_load_n(index, __ATOMIC_RELAXED);
}

// The tail of a ring of provided buffers has 16 bits: io_uring_register_buf_ring(3).
static inline unsigned short ring_load_acquire_16(const unsigned short *index) {
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static inline void ring_store_release_16(unsigned short *index, unsigned short value) {
    __atomic_store_n(index, value, __ATOMIC_RELEASE);
}

static inline void ring_store_release(unsigned *index, unsigned value) {
    __atomic_store_n(index, value, __ATOMIC_RELEASE);
}

#endif
