// Echo: each connection always has `depth` messages under way.
#include <inttypes.h>

#include "connection.h"
#include "measurement.h"
#include "modes.h"
#include "stream.h"

enum {
    // A prime, so that a message that is lost or doubled shifts what is compared.
    BLOCK_LENGTH = 65521,
    // Connections begin at different places of the stream, so that one's bytes are not taken for another's.
    STRIDE = 7919,
};

struct echo_connection {
    int descriptor;
    bool wants_room;
    unsigned index;
    uint64_t begin;     // where in the stream its bytes begin
    uint64_t sent, goal;
    uint64_t received;
    uint64_t answered;  // whole messages
    uint64_t asked;     // messages that are under way or answered
    uint64_t *sent_at;  // of the message with this number, modulo the depth
};

static const struct options *options;
static struct stream stream;
static struct measurement measurement;

static void ask(struct echo_connection *connection, unsigned count, uint64_t time) {
    for (unsigned i = 0; i < count; i++) connection->sent_at[connection->asked++ % options->depth] = time;
    connection->goal += count * options->size;
}

static void flush(struct echo_connection *connection) {
    uint64_t begin = connection->begin, position = begin + connection->sent, end = begin + connection->goal;
    connection->sent = stream_send(&stream, connection->descriptor, position, end) - begin;
    bool wants_room = connection->sent < connection->goal;
    if (wants_room == connection->wants_room) return;
    connection->wants_room = wants_room;
    connection_want_room(connection->descriptor, connection, wants_room);
}

static void verify(const struct echo_connection *connection, const uint8_t *bytes, size_t length) {
    if (connection->received + length > connection->sent) fail("connection %u got more than it sent", connection->index);
    if (!stream_has(&stream, connection->begin + connection->received, bytes, length)) {
        fail("connection %u got wrong bytes after %" PRIu64, connection->index, connection->received);
    }
}

static void receive(struct echo_connection *connection) {
    uint8_t *bytes;
    size_t length = connection_receive(connection->descriptor, &bytes, NULL);
    if (length == 0) return;
    if (options->verify) verify(connection, bytes, length);
    connection->received += length;
    measurement.bytes += length;
    uint64_t time = now();
    unsigned count = 0;
    while (connection->received >= (connection->answered + 1) * options->size) {
        histogram_record(&measurement.latencies, time - connection->sent_at[connection->answered % options->depth]);
        connection->answered++;
        count++;
    }
    measurement.messages += count;
    if (count > 0) ask(connection, count, time);
}

static struct echo_connection *connect_all(void) {
    struct echo_connection *connections = allocate(options->connections, sizeof *connections);
    for (unsigned i = 0; i < options->connections; i++) {
        struct echo_connection *connection = &connections[i];
        *connection = (struct echo_connection){.index = i, .begin = (uint64_t)i * STRIDE, .descriptor = connection_open()};
        connection->sent_at = allocate(options->depth, sizeof *connection->sent_at);
        connection_watch(connection->descriptor, connection);
    }
    return connections;
}

void run_echo(const struct options *given) {
    options = given;
    connections_prepare(options->port, options->connections);
    stream = (struct stream){allocate(BLOCK_LENGTH, 1), BLOCK_LENGTH};
    fill_with_letters(stream.bytes, stream.length, 1);
    struct echo_connection *connections = connect_all();
    measurement_start(&measurement, options, false);
    for (unsigned i = 0; i < options->connections; i++) {
        ask(&connections[i], options->depth, now());
        flush(&connections[i]);
    }
    do {
        struct epoll_event events[EVENTS_A_TURN];
        int count = connections_wait(events, UINT64_MAX);
        for (int i = 0; i < count; i++) {
            struct echo_connection *connection = events[i].data.ptr;
            if (events[i].events & ~(uint32_t)EPOLLOUT) receive(connection);
            flush(connection);
        }
    } while (measurement_continues(&measurement, now()));
    measurement_report(&measurement);
}
