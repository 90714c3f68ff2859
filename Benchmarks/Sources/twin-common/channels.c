// Channels by name, in a hash table that grows, and their lists of subscribers.
#include "channels.h"

#include <stdlib.h>
#include <string.h>

static struct channel **buckets;
static uint32_t bucket_count;  // 0 or a power of two
static uint32_t channel_count;

// FNV-1a.
static uint32_t hash_of(const char *name, uint32_t length) {
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < length; i++) hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    return hash;
}

static void insert(struct channel *channel) {
    struct channel **bucket = &buckets[channel->hash & (bucket_count - 1)];
    channel->next_in_bucket = *bucket;
    *bucket = channel;
}

static void grow_table(void) {
    struct channel **old = buckets;
    uint32_t old_count = bucket_count;
    bucket_count = old_count ? old_count * 2 : 64;
    buckets = allocate(bucket_count * sizeof *buckets);
    memset(buckets, 0, bucket_count * sizeof *buckets);
    for (uint32_t i = 0; i < old_count; i++) {
        for (struct channel *channel = old[i], *next; channel; channel = next) {
            next = channel->next_in_bucket;
            insert(channel);
        }
    }
    free(old);
}

static struct channel *find(const char *name, uint32_t length, uint32_t hash) {
    if (bucket_count == 0) return NULL;
    struct channel *channel = buckets[hash & (bucket_count - 1)];
    while (channel && (channel->name_length != length || memcmp(channel->name, name, length) != 0)) {
        channel = channel->next_in_bucket;
    }
    return channel;
}

static struct channel *find_or_make(const char *name, uint32_t length) {
    uint32_t hash = hash_of(name, length);
    struct channel *channel = find(name, length, hash);
    if (channel) return channel;
    if (channel_count == bucket_count) grow_table();
    channel = allocate(sizeof *channel + length);
    *channel = (struct channel){.hash = hash, .name_length = length};
    memcpy(channel->name, name, length);
    insert(channel);
    channel_count++;
    return channel;
}

static void remove_if_unused(struct channel *channel) {
    if (channel->count > 0 || channel->publishers > 0) return;
    struct channel **link = &buckets[channel->hash & (bucket_count - 1)];
    while (*link != channel) link = &(*link)->next_in_bucket;
    *link = channel->next_in_bucket;
    channel_count--;
    free(channel->subscribers);
    free(channel);
}

static void add_subscriber(struct channel *channel, struct peer *peer) {
    if (channel->count == channel->capacity) {
        channel->capacity = channel->capacity ? channel->capacity * 2 : 8;
        channel->subscribers = reallocate(channel->subscribers, channel->capacity * sizeof(struct peer *));
    }
    peer->place = channel->count;
    channel->subscribers[channel->count++] = peer;
}

// The last one takes the place of who leaves: the order of subscribers means nothing.
static void remove_subscriber(struct channel *channel, struct peer *peer) {
    struct peer *last = channel->subscribers[--channel->count];
    channel->subscribers[peer->place] = last;
    last->place = peer->place;
}

void channel_join(struct peer *peer, enum role role, const char *name, uint32_t length) {
    struct channel *channel = find_or_make(name, length);
    peer->channel = channel;
    peer->role = role;
    if (role == ROLE_SUBSCRIBER) add_subscriber(channel, peer);
    else channel->publishers++;
}

void channel_leave(struct peer *peer) {
    struct channel *channel = peer->channel;
    if (channel) {
        if (peer->role == ROLE_SUBSCRIBER) remove_subscriber(channel, peer);
        else channel->publishers--;
        remove_if_unused(channel);
    }
    peer->channel = NULL;
    peer->role = ROLE_GONE;
}
