// How publishers and subscribers speak: our line protocol, Redis, NATS.
#pragma once

#include "options.h"

struct dialect {
    void (*begin_publishing)(int descriptor, unsigned channel);
    void (*begin_subscribing)(int descriptor, unsigned channel);
    // Writes what stands before and after the payload of a message as it is published, or delivered, with `room` for it;
    // returns the length.
    size_t (*published_head)(char *head, size_t room, unsigned channel, size_t payload);
    size_t (*delivered_head)(char *head, size_t room, unsigned channel, size_t payload);
    const char *tail;
    // Whether --size counts the tail.
    bool size_has_tail;
    // What the server may say to a subscriber between messages, and is skipped; NULL if nothing. No message begins like it.
    const char *interjection;
};

const struct dialect *dialect_of(enum protocol protocol);
