// Churn: connect, one request, its answer, close; `concurrency` connections at once.
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "measurement.h"
#include "modes.h"
#include "stream.h"

static const char http_request[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
static const char http_answer[] = "HTTP/1.1 200";

struct call {
    int descriptor;
    bool asked;
    size_t received;
    uint64_t started_at;
};

static const struct options *options;
static struct stream request;
static struct measurement measurement;

static void start(struct call *call) {
    *call = (struct call){.started_at = now()};
    call->descriptor = connection_start(call);
}

// A request fits into the buffer of a new socket.
static void ask(struct call *call) {
    if (stream_send(&request, call->descriptor, 0, request.length) != request.length) {
        fail("a new connection did not take %zu bytes", request.length);
    }
    call->asked = true;
    connection_want_room(call->descriptor, call, false);
}

static void verify(const struct call *call, const uint8_t *bytes, size_t length) {
    if (options->protocol == PROTOCOL_ECHO) {
        if (call->received + length > request.length || !stream_has(&request, call->received, bytes, length)) {
            fail("a connection got wrong bytes after %zu", call->received);
        }
        return;
    }
    size_t wanted = strlen(http_answer);
    if (call->received == 0 && (length < wanted || memcmp(bytes, http_answer, wanted) != 0)) {
        fail("the server answered: %.*s", (int)(length < 80 ? length : 80), bytes);
    }
}

// Whether the answer is complete: as long as the request, or ended by the server.
static bool receive(struct call *call) {
    uint8_t *bytes;
    bool end = false;
    size_t length = connection_receive(call->descriptor, &bytes, &end);
    if (length > 0 && options->verify) verify(call, bytes, length);
    call->received += length;
    measurement.bytes += length;
    if (options->protocol == PROTOCOL_ECHO && end) fail("the server closed before it had answered");
    if (end && call->received == 0) fail("the server closed without an answer");
    return options->protocol == PROTOCOL_ECHO ? call->received >= request.length : end;
}

static void proceed(struct call *call, uint32_t events) {
    if (!call->asked && events & EPOLLOUT) ask(call);
    if (!(events & ~(uint32_t)EPOLLOUT) || !receive(call)) return;
    histogram_record(&measurement.latencies, now() - call->started_at);
    measurement.messages++;
    close(call->descriptor);
    start(call);
}

void run_churn(const struct options *given) {
    options = given;
    connections_prepare(options->port, options->concurrency);
    if (options->protocol == PROTOCOL_ECHO) {
        request = (struct stream){allocate(options->size, 1), options->size};
        fill_with_letters(request.bytes, request.length, 1);
    } else {
        request = (struct stream){(uint8_t *)http_request, strlen(http_request)};
    }
    struct call *calls = allocate(options->concurrency, sizeof *calls);
    measurement_start(&measurement, options, false);
    for (unsigned i = 0; i < options->concurrency; i++) start(&calls[i]);
    do {
        struct epoll_event events[EVENTS_A_TURN];
        int count = connections_wait(events, UINT64_MAX);
        for (int i = 0; i < count; i++) proceed(events[i].data.ptr, events[i].events);
    } while (measurement_continues(&measurement, now()));
    measurement_report(&measurement);
}
