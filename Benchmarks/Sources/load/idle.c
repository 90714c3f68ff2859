// Idle: connections that have said one thing, had their answer, and then are silent.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connection.h"
#include "measurement.h"
#include "modes.h"

static const char http_request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

// Until the head has ended and as much has come as it announces.
static void exchange_http(int descriptor) {
    char heard[16384];
    size_t length = 0;
    if (send(descriptor, http_request, strlen(http_request), MSG_NOSIGNAL) < 0) fail_errno("sending a request");
    for (;;) {
        ssize_t received = recv(descriptor, heard + length, sizeof heard - 1 - length, 0);
        if (received <= 0) fail("no whole answer over HTTP came, but %zu bytes", length);
        length += (size_t)received;
        heard[length] = 0;
        const char *body = strstr(heard, "\r\n\r\n"), *announced = strcasestr(heard, "\r\ncontent-length:");
        if (body && !announced) fail("an answer over HTTP has no Content-Length");
        if (body && length >= (size_t)(body + 4 - heard) + strtoul(announced + 17, NULL, 10)) return;
    }
}

static void exchange(int descriptor, enum protocol protocol) {
    if (protocol == PROTOCOL_ECHO) connection_exchange(descriptor, "hello\n", "hello\n");
    else if (protocol == PROTOCOL_LINE) connection_exchange(descriptor, "SUBSCRIBE idle\n", "OK\r\n");
    else exchange_http(descriptor);
}

void run_idle(const struct options *options) {
    static struct measurement measurement;
    connections_prepare(options->port, options->connections);
    measurement.memory_before = server_memory_now();
    for (unsigned i = 0; i < options->connections; i++) {
        int descriptor = connection_open();
        exchange(descriptor, options->protocol);
        static char silent;
        connection_watch(descriptor, &silent);
    }
    measurement_start(&measurement, options, true);
    do {
        struct epoll_event events[EVENTS_A_TURN];
        if (connections_wait(events, UINT64_MAX) > 0) fail("the server spoke or closed on a connection that was silent");
    } while (measurement_continues(&measurement, now()));
    measurement_report(&measurement);
}
