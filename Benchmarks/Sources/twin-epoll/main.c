// The twin on epoll: edge-triggered, so that descriptors are registered once and for all. One thread.
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

enum {
    EVENTS_A_TURN = 512,
    VECTORS_A_SEND = 64,
    // A receive gets at least this much room.
    LEAST_ROOM = RECEIVE_BUFFER_SIZE / 4,
    // Who sends without end gets so many receives before the others have their turn.
    RECEIVES_A_TURN = 16,
};

struct connection {
    struct peer peer;  // first: a peer is its connection
    int descriptor;
    bool readable;    // there may be something to receive
    bool hung_up;     // nothing comes after what is there
    bool full;        // the socket takes nothing until EPOLLOUT
};

static int epoll;
static int listener;
static bool accept_failed;  // for want of descriptors: tried again when one is free

// All connections receive into this one until it is full; it starts anew when nobody needs what was in it.
static struct buffer *receive_buffer;
static uint32_t receive_filled;

static void watch(int descriptor, uint32_t events, void *context) {
    struct epoll_event event = {.events = events, .data.ptr = context};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) server_fail("epoll_ctl", errno);
}

// MARK: - Sending

static ssize_t send_queued(const struct connection *connection) {
    struct iovec vectors[VECTORS_A_SEND];
    struct msghdr message = {.msg_iov = vectors};
    message.msg_iovlen = queue_vectors(&connection->peer.outgoing, vectors, VECTORS_A_SEND);
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    if (message.msg_iovlen == 1) return send(connection->descriptor, vectors[0].iov_base, vectors[0].iov_len, flags);
    return sendmsg(connection->descriptor, &message, flags);
}

static size_t vectors_length(const struct queue *queue) {
    if (queue->count <= VECTORS_A_SEND) return queue->bytes;
    size_t length = 0;
    for (uint32_t i = 0; i < VECTORS_A_SEND; i++) length += queue_piece(queue, i)->length;
    return length;
}

// Sends until nothing is left or the socket is full. A short send says that it is full, without another call to be told so.
static void flush(struct connection *connection) {
    struct queue *outgoing = &connection->peer.outgoing;
    while (outgoing->count > 0 && !connection->full) {
        size_t wanted = vectors_length(outgoing);
        ssize_t sent = send_queued(connection);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) {
            service_peer_lost(&connection->peer);
            return;
        }
        if (sent > 0) queue_consume(outgoing, (size_t)sent);
        connection->full = sent < (ssize_t)wanted;
    }
}

// MARK: - Receiving

static void make_room(void) {
    if (receive_buffer->references == 1) receive_filled = 0;
    if (RECEIVE_BUFFER_SIZE - receive_filled >= LEAST_ROOM) return;
    buffer_release(receive_buffer);
    receive_buffer = buffer_for_receiving();
    receive_filled = 0;
}

// Receives once; false if there is nothing more.
static bool receive_once(struct connection *connection) {
    make_room();
    uint8_t *start = receive_buffer->bytes + receive_filled;
    size_t room = RECEIVE_BUFFER_SIZE - receive_filled;
    ssize_t received = recv(connection->descriptor, start, room, 0);
    if (received > 0) {
        receive_filled += (uint32_t)received;
        service_received(&connection->peer, receive_buffer, start, (size_t)received);
    } else if (received < 0 && errno == EINTR) {
        return true;
    } else if (received < 0 && errno != EAGAIN) {
        service_peer_lost(&connection->peer);
        return false;
    }
    // What is short has emptied the socket: either its end was reached, or more will be told.
    bool short_one = received < (ssize_t)room;
    if (received == 0 || (short_one && connection->hung_up)) service_input_ended(&connection->peer);
    return !short_one;
}

// From an echo client who does not take his echo nothing is received.
static bool may_receive(const struct connection *connection) {
    bool pause = service_is_echo() && connection->full;
    return connection->readable && !pause && !connection->peer.ending;
}

// What is echoed is sent at once, while it is in the cache.
static void receive(struct connection *connection) {
    for (unsigned i = 0; i < RECEIVES_A_TURN && may_receive(connection); i++) {
        connection->readable = receive_once(connection);
        if (!connection->peer.lost) flush(connection);
    }
    if (may_receive(connection)) service_mark_due(&connection->peer);
}

// MARK: - Connections

static void accept_all(void) {
    int descriptor;
    while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = allocate(sizeof *connection);
        *connection = (struct connection){.descriptor = descriptor};
        watch(descriptor, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, connection);
    }
    accept_failed = errno != EAGAIN;
}

static void close_connection(struct connection *connection) {
    service_forget(&connection->peer);
    close(connection->descriptor);
    free(connection);
    if (accept_failed) accept_all();
}

static void happened(struct connection *connection, uint32_t events) {
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) connection->readable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) connection->hung_up = true;
    if (events & EPOLLERR) service_peer_lost(&connection->peer);
    if (events & EPOLLOUT && connection->full) {
        connection->full = false;
        flush(connection);
    }
    receive(connection);
}

static bool is_over(const struct connection *connection) {
    const struct peer *peer = &connection->peer;
    return peer->lost || (peer->ending && peer->outgoing.count == 0);
}

// What this turn brought for a connection leaves together. While it settles it counts as due, so that nothing that happens
// to it here puts it into the list of the next turn, from where it could not be freed.
static void settle(struct connection *connection) {
    if (!connection->peer.lost) flush(connection);
    if (!is_over(connection)) receive(connection);
    if (is_over(connection)) {
        close_connection(connection);
        return;
    }
    connection->peer.due = false;
    if (may_receive(connection)) service_mark_due(&connection->peer);
}

static void settle_due(void) {
    struct peer *next;
    for (struct peer *peer = service_take_due(); peer; peer = next) {
        next = peer->next_due;
        settle((struct connection *)peer);
    }
}

// Told apart from connections by their addresses.
static char listener_mark, termination_mark;

// False when the program is to end.
static bool turn(void) {
    struct epoll_event events[EVENTS_A_TURN];
    int count = epoll_wait(epoll, events, EVENTS_A_TURN, service_any_due() ? 0 : -1);
    if (count < 0 && errno != EINTR) server_fail("epoll_wait", errno);
    for (int i = 0; i < count; i++) {
        void *whose = events[i].data.ptr;
        if (whose == &termination_mark) return false;
        if (whose == &listener_mark) accept_all();
        else happened(whose, events[i].events);
    }
    settle_due();
    return true;
}

int main(int argument_count, char **arguments) {
    listener = server_prepare(argument_count, arguments, SOCK_NONBLOCK);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) server_fail("epoll_create1", errno);
    watch(listener, EPOLLIN | EPOLLET, &listener_mark);
    watch(server_termination(), EPOLLIN, &termination_mark);
    receive_buffer = buffer_for_receiving();
    server_announce(listener);
    while (turn()) {}
    return 0;
}
