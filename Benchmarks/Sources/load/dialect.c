// How publishers and subscribers speak. Names of channels have a constant length, and so have frames.
#include "dialect.h"

#include <stdio.h>

#include "connection.h"

enum { REQUEST_ROOM = 256 };

// MARK: - Our line protocol

static void line_begin_publishing(int descriptor, unsigned channel) {
    char request[REQUEST_ROOM];
    snprintf(request, sizeof request, "PUBLISH c%05u\n", channel);
    connection_exchange(descriptor, request, "OK\r\n");
}

static void line_begin_subscribing(int descriptor, unsigned channel) {
    char request[REQUEST_ROOM];
    snprintf(request, sizeof request, "SUBSCRIBE c%05u\n", channel);
    connection_exchange(descriptor, request, "OK\r\n");
}

static size_t no_head(char *head, size_t room, unsigned channel, size_t payload) {
    (void)head, (void)room, (void)channel, (void)payload;
    return 0;
}

// MARK: - Redis

static void redis_begin_publishing(int descriptor, unsigned channel) {
    (void)channel;
    connection_exchange(descriptor, "PING\r\n", "+PONG\r\n");
}

static void redis_begin_subscribing(int descriptor, unsigned channel) {
    char request[REQUEST_ROOM], answer[REQUEST_ROOM];
    snprintf(request, sizeof request, "*2\r\n$9\r\nSUBSCRIBE\r\n$6\r\nc%05u\r\n", channel);
    snprintf(answer, sizeof answer, "*3\r\n$9\r\nsubscribe\r\n$6\r\nc%05u\r\n:1\r\n", channel);
    connection_exchange(descriptor, request, answer);
}

static size_t redis_published_head(char *head, size_t room, unsigned channel, size_t payload) {
    return (size_t)snprintf(head, room, "*3\r\n$7\r\nPUBLISH\r\n$6\r\nc%05u\r\n$%zu\r\n", channel, payload);
}

static size_t redis_delivered_head(char *head, size_t room, unsigned channel, size_t payload) {
    return (size_t)snprintf(head, room, "*3\r\n$7\r\nmessage\r\n$6\r\nc%05u\r\n$%zu\r\n", channel, payload);
}

// MARK: - NATS

// The server says INFO first, and PING now and then: it gives up on who lets three of them, two minutes apart, go
// unanswered, and no measurement is that long.
static void nats_begin_publishing(int descriptor, unsigned channel) {
    (void)channel;
    connection_exchange_until(descriptor, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n", "PONG\r\n");
}

static void nats_begin_subscribing(int descriptor, unsigned channel) {
    char request[REQUEST_ROOM];
    snprintf(request, sizeof request, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB c%05u 1\r\nPING\r\n", channel);
    connection_exchange_until(descriptor, request, "PONG\r\n");
}

static size_t nats_published_head(char *head, size_t room, unsigned channel, size_t payload) {
    return (size_t)snprintf(head, room, "PUB c%05u %zu\r\n", channel, payload);
}

static size_t nats_delivered_head(char *head, size_t room, unsigned channel, size_t payload) {
    return (size_t)snprintf(head, room, "MSG c%05u 1 %zu\r\n", channel, payload);
}

const struct dialect *dialect_of(enum protocol protocol) {
    static const struct dialect line = {
        line_begin_publishing, line_begin_subscribing, no_head, no_head, "\n", true, NULL};
    static const struct dialect redis = {
        redis_begin_publishing, redis_begin_subscribing, redis_published_head, redis_delivered_head, "\r\n", false, NULL};
    static const struct dialect nats = {
        nats_begin_publishing, nats_begin_subscribing, nats_published_head, nats_delivered_head, "\r\n", false, "PING\r\n"};
    return protocol == PROTOCOL_REDIS ? &redis : protocol == PROTOCOL_NATS ? &nats : &line;
}
