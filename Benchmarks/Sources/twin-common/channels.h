// Channels and their subscribers.
#pragma once

#include "service.h"

// Lives as long as it has a publisher or a subscriber.
struct channel {
    struct channel *next_in_bucket;
    struct peer **subscribers;
    uint32_t count;
    uint32_t capacity;
    uint32_t publishers;
    uint32_t hash;
    uint32_t name_length;
    char name[];
};

void channel_join(struct peer *peer, enum role role, const char *name, uint32_t length);
void channel_leave(struct peer *peer);
