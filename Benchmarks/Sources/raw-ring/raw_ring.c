#include "raw_ring.h"

#include <errno.h>
#include <sys/types.h>
#include <liburing.h>

/// What becomes of a completion: counted, and another no-op started, told by its user_data.
struct machine {
    uint64_t left, completed;
};

static int start(struct io_uring *ring, uint64_t id) {
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    if (!entry) return -EAGAIN;
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data64(entry, id);
    return 0;
}

int raw_ring_run(uint64_t count, unsigned inFlight) {
    struct io_uring ring;
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL
            | IORING_SETUP_CQSIZE,
        .cq_entries = 4096,
    };
    int status = io_uring_queue_init_params(1024, &ring, &parameters);
    if (status < 0) return status;
    struct machine machine = {.left = count};
    for (unsigned i = 0; i < inFlight && machine.left > 0 && status >= 0; i++, machine.left--) status = start(&ring, i + 1);
    while (status >= 0 && machine.completed < count) {
        status = io_uring_submit_and_wait(&ring, 1);
        unsigned head, seen = 0;
        struct io_uring_cqe *completion;
        io_uring_for_each_cqe(&ring, head, completion) {
            seen++;
            machine.completed++;
            if (completion->user_data == 0 || completion->res != 0) status = -EIO;
            if (machine.left > 0 && start(&ring, completion->user_data) == 0) machine.left--;
        }
        io_uring_cq_advance(&ring, seen);
    }
    io_uring_queue_exit(&ring);
    return status < 0 ? status : 0;
}
