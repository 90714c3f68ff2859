// What both twins serve, echo or publish/subscribe: bytes in, queues of bytes out. It knows no sockets.
#pragma once

#include "queue.h"

struct channel;

enum service { SERVICE_ECHO, SERVICE_PUBSUB };

enum role { ROLE_UNDECIDED, ROLE_PUBLISHER, ROLE_SUBSCRIBER, ROLE_GONE };

// The service's side of a connection. All zero is a new one.
struct peer {
    struct queue outgoing;  // what the connection is to send
    bool ending;            // to be closed when `outgoing` is empty
    bool lost;              // to be closed now, whatever `outgoing` holds

    bool due;               // in the list of those that need attention
    enum role role;
    uint32_t place;         // among the subscribers of the channel
    struct channel *channel;
    struct queue line;      // of a publisher: the beginning of a message; of others: of a command
    struct peer *next_due;
};

void service_choose(enum service service);
bool service_is_echo(void);

// `length` bytes at `start` in `buffer` came from this peer. Peers that have something to send are due after this.
void service_received(struct peer *peer, struct buffer *buffer, const uint8_t *start, size_t length);

// Nothing more will come from this peer; it still gets what is queued for it.
void service_input_ended(struct peer *peer);

// The connection is broken: nothing can be sent any more either.
void service_peer_lost(struct peer *peer);

// Frees what the peer holds.
void service_forget(struct peer *peer);

// Puts the peer into the list of those that need attention.
void service_mark_due(struct peer *peer);

bool service_any_due(void);

// Takes the whole list, linked by `next_due`. Whoever takes it clears `due` of each when it has had its attention.
struct peer *service_take_due(void);
