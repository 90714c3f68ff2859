// The twin on io_uring, with liburing: multishot accept and receive, one submission and wait a turn. One thread.
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "receive_ring.h"
#include "server.h"

// Newer than the header of liburing 2.3.
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

enum {
    SUBMISSION_ENTRIES = 1024,
    COMPLETION_ENTRIES = 4096,
    VECTORS_A_SEND = 64,
    // The vectors of all sends of one submission: the kernel copies them when it is submitted.
    VECTORS_A_SUBMISSION = 4096,
    // From an echo client for whom so many bytes wait nothing is received until he has taken them.
    MOST_ECHO_PENDING = 256 * 1024,
};

struct connection {
    struct peer peer;  // first: a peer is its connection
    int descriptor;
    bool receiving;    // a multishot receive is in flight
    bool cancelling;   // and has been told to end
    bool sending;      // a send is in flight
    bool shut;
};

// What a completion is for stands in the low bits of its user data, the connection in the others.
enum operation { OPERATION_IGNORED, OPERATION_ACCEPT, OPERATION_RECEIVE, OPERATION_SEND, OPERATION_TERMINATION };
enum { OPERATION_BITS = 7 };

static struct io_uring ring;
static struct receive_ring receive_ring;
static int listener;
static bool accepting;
static bool terminated;

static struct iovec vectors[VECTORS_A_SUBMISSION];
static struct msghdr messages[SUBMISSION_ENTRIES];
static unsigned vectors_used, messages_used;

// MARK: - Submitting

// Submits all there is, and waits until `least` completions are there.
static void enter(unsigned least) {
    do {
        int result = io_uring_submit_and_wait(&ring, least);
        if (result < 0 && result != -EINTR && result != -EBUSY) server_fail("io_uring_submit_and_wait", -result);
    } while (io_uring_sq_ready(&ring) > 0);
    vectors_used = messages_used = 0;
}

static struct io_uring_sqe *next_submission(void) {
    struct io_uring_sqe *submission = io_uring_get_sqe(&ring);
    if (submission) return submission;
    enter(0);
    return io_uring_get_sqe(&ring);
}

static void tag(struct io_uring_sqe *submission, struct connection *connection, enum operation operation) {
    submission->user_data = (uintptr_t)connection | operation;
}

static void start_accepting(void) {
    struct io_uring_sqe *submission = next_submission();
    io_uring_prep_multishot_accept(submission, listener, NULL, NULL, SOCK_CLOEXEC);
    tag(submission, NULL, OPERATION_ACCEPT);
    accepting = true;
}

static void start_receiving(struct connection *connection) {
    struct io_uring_sqe *submission = next_submission();
    io_uring_prep_recv_multishot(submission, connection->descriptor, NULL, 0, 0);
    submission->flags |= IOSQE_BUFFER_SELECT;
    submission->buf_group = RECEIVE_RING_GROUP;
    tag(submission, connection, OPERATION_RECEIVE);
    connection->receiving = true;
    connection->cancelling = false;
}

static void stop_receiving(struct connection *connection) {
    struct io_uring_sqe *submission = next_submission();
    io_uring_prep_cancel64(submission, (uintptr_t)connection | OPERATION_RECEIVE, 0);
    tag(submission, NULL, OPERATION_IGNORED);
    connection->cancelling = true;
}

// All that is queued, as far as the vectors go; the kernel waits for a full socket by itself.
static void start_sending(struct connection *connection) {
    const struct queue *outgoing = &connection->peer.outgoing;
    int flags = MSG_NOSIGNAL | MSG_WAITALL;
    if (vectors_used + VECTORS_A_SEND > VECTORS_A_SUBMISSION) enter(0);
    struct io_uring_sqe *submission = next_submission();
    if (outgoing->count == 1) {
        const struct piece *piece = queue_piece(outgoing, 0);
        io_uring_prep_send(submission, connection->descriptor, piece->start, piece->length, flags);
    } else {
        struct msghdr *message = &messages[messages_used++];
        *message = (struct msghdr){.msg_iov = &vectors[vectors_used]};
        message->msg_iovlen = queue_vectors(outgoing, message->msg_iov, VECTORS_A_SEND);
        vectors_used += message->msg_iovlen;
        io_uring_prep_sendmsg(submission, connection->descriptor, message, (unsigned)flags);
    }
    tag(submission, connection, OPERATION_SEND);
    connection->sending = true;
}

// MARK: - Connections

static void accepted(int descriptor) {
    struct connection *connection = allocate(sizeof *connection);
    *connection = (struct connection){.descriptor = descriptor};
    start_receiving(connection);
}

static void close_connection(struct connection *connection) {
    struct io_uring_sqe *submission = next_submission();
    io_uring_prep_close(submission, connection->descriptor);
    submission->flags |= IOSQE_CQE_SKIP_SUCCESS;
    tag(submission, NULL, OPERATION_IGNORED);
    service_forget(&connection->peer);
    free(connection);
    if (!accepting) start_accepting();
}

// A connection is closed when nothing of it is in flight any more; shutting it down ends what is.
static void finish(struct connection *connection) {
    if (!connection->receiving && !connection->sending) {
        close_connection(connection);
        return;
    }
    if (!connection->shut) shutdown(connection->descriptor, SHUT_RDWR);
    connection->shut = true;
}

static bool is_over(const struct connection *connection) {
    const struct peer *peer = &connection->peer;
    return peer->lost || (peer->ending && peer->outgoing.count == 0);
}

// A multishot receive that has ended, for want of buffers or whatever reason, goes on; one whose client does not take his
// echo pauses.
static void steer_receiving(struct connection *connection) {
    if (connection->peer.ending) return;
    size_t most = connection->receiving ? MOST_ECHO_PENDING : MOST_ECHO_PENDING / 2;
    bool pause = service_is_echo() && connection->peer.outgoing.bytes > most;
    if (!connection->receiving && !pause) start_receiving(connection);
    if (connection->receiving && pause && !connection->cancelling) stop_receiving(connection);
}

static void settle(struct connection *connection) {
    connection->peer.due = false;
    if (is_over(connection)) {
        finish(connection);
        return;
    }
    if (!connection->sending && connection->peer.outgoing.count > 0) start_sending(connection);
    steer_receiving(connection);
}

static void settle_due(void) {
    struct peer *next;
    for (struct peer *peer = service_take_due(); peer; peer = next) {
        next = peer->next_due;
        settle((struct connection *)peer);
    }
}

// MARK: - Completions

// Without descriptors left, accepting ends; it starts again when a connection has been closed.
static void complete_accept(const struct io_uring_cqe *completion) {
    if (completion->res >= 0) accepted(completion->res);
    if (completion->flags & IORING_CQE_F_MORE) return;
    accepting = false;
    if (completion->res >= 0) start_accepting();
}

static void complete_receive(struct connection *connection, const struct io_uring_cqe *completion) {
    if (completion->res > 0) {
        struct piece piece = receive_ring_take(&receive_ring, completion);
        if (!connection->peer.lost) service_received(&connection->peer, piece.buffer, piece.start, piece.length);
    } else if (completion->res == 0) {
        service_input_ended(&connection->peer);
    } else if (completion->res != -ENOBUFS && completion->res != -ECANCELED) {
        service_peer_lost(&connection->peer);
    }
    if (completion->flags & IORING_CQE_F_MORE) return;
    connection->receiving = false;
    service_mark_due(&connection->peer);
}

static void complete_send(struct connection *connection, const struct io_uring_cqe *completion) {
    connection->sending = false;
    if (completion->res < 0) service_peer_lost(&connection->peer);
    else queue_consume(&connection->peer.outgoing, (size_t)completion->res);
    const struct peer *peer = &connection->peer;
    if (peer->ending || peer->outgoing.count > 0 || !connection->receiving) service_mark_due(&connection->peer);
}

static void complete(const struct io_uring_cqe *completion) {
    enum operation operation = completion->user_data & OPERATION_BITS;
    struct connection *connection = (struct connection *)(uintptr_t)(completion->user_data & ~(uint64_t)OPERATION_BITS);
    switch (operation) {
    case OPERATION_IGNORED: break;
    case OPERATION_ACCEPT: complete_accept(completion); break;
    case OPERATION_RECEIVE: complete_receive(connection, completion); break;
    case OPERATION_SEND: complete_send(connection, completion); break;
    case OPERATION_TERMINATION: terminated = true; break;
    }
}

// One completion ends the wait, even that of a send that was submitted with it: to wait for another one as well would save
// a lone connection a call, but what a short send leaves, or a close, would wait for it too.
static void turn(void) {
    enter(1);
    const struct io_uring_cqe *completion;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring, head, completion) {
        complete(completion);
        count++;
    }
    io_uring_cq_advance(&ring, count);
    settle_due();
    receive_ring_refill(&receive_ring);
}

// MARK: - Beginning

static void open_ring(void) {
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETION_ENTRIES,
    };
    int result = io_uring_queue_init_params(SUBMISSION_ENTRIES, &ring, &parameters);
    if (result < 0) server_fail("io_uring_queue_init_params", -result);
    result = io_uring_register_ring_fd(&ring);
    if (result < 0) server_fail("io_uring_register_ring_fd", -result);
    receive_ring_open(&receive_ring, &ring);
}

static void watch_termination(void) {
    struct io_uring_sqe *submission = next_submission();
    io_uring_prep_poll_add(submission, server_termination(), POLLIN);
    tag(submission, NULL, OPERATION_TERMINATION);
}

int main(int argument_count, char **arguments) {
    listener = server_prepare(argument_count, arguments, 0);
    open_ring();
    watch_termination();
    start_accepting();
    server_announce(listener);
    while (!terminated) turn();
    io_uring_queue_exit(&ring);
    return 0;
}
