// Fan-out: a publisher for each channel, whose messages all subscribers of the channel get.
#include <inttypes.h>
#include <string.h>

#include "connection.h"
#include "dialect.h"
#include "measurement.h"
#include "modes.h"
#include "stream.h"

enum {
    // A channel's stream repeats after about so many bytes, but has at least so many different messages.
    BLOCK_LENGTH = 64 * 1024,
    LEAST_DIFFERENT_MESSAGES = 3,
    HEAD_ROOM = 128,
};

// A message that is under way.
struct message {
    uint64_t published_at;  // or when it should have been
    unsigned missing;       // subscribers that have not got it
};

// First in both structures that epoll tells of.
enum kind { KIND_PUBLISHER, KIND_SUBSCRIBER };

struct channel {
    enum kind kind;
    int publisher;
    unsigned index;
    bool wants_room, due;
    struct stream out, in;  // as published, as delivered
    uint64_t sent;          // bytes
    uint64_t published;     // messages
    uint64_t completed;     // of which all subscribers have got
    uint64_t begins;        // at a fixed rate, when message 0 is due
    struct message *messages;
};

struct subscriber {
    enum kind kind;
    int descriptor;
    unsigned index;
    unsigned interjected;   // of what the server said between messages, bytes that are still to come
    struct channel *channel;
    uint64_t received;      // bytes
    uint64_t delivered;     // messages
};

static const struct options *options;
static const struct dialect *dialect;
static struct channel *channels;
static size_t published_length, delivered_length;  // of a message as it is sent
static struct channel **due;  // publishers that may have something to send
static unsigned due_count;
static struct measurement measurement;

// MARK: - Streams

static size_t write_message(uint8_t *to, const char *head, size_t head_length, size_t payload, uint64_t seed) {
    memcpy(to, head, head_length);
    fill_with_letters(to + head_length, payload, seed);
    memcpy(to + head_length + payload, dialect->tail, strlen(dialect->tail));
    return head_length + payload + strlen(dialect->tail);
}

typedef size_t head_writer(char *head, size_t room, unsigned channel, size_t payload);

// The stream of a channel, with one head or the other; both have the same payloads, and equally many.
static struct stream make_stream(unsigned channel, size_t payload, head_writer *write_head, size_t *message_length) {
    char head[HEAD_ROOM];
    size_t head_length = write_head(head, sizeof head, channel, payload);
    size_t different = BLOCK_LENGTH / payload;
    if (different < LEAST_DIFFERENT_MESSAGES) different = LEAST_DIFFERENT_MESSAGES;
    *message_length = head_length + payload + strlen(dialect->tail);
    struct stream stream = {allocate(different, *message_length), 0};
    for (size_t i = 0; i < different; i++) {
        stream.length += write_message(stream.bytes + stream.length, head, head_length, payload, channel * 1000003u + i);
    }
    return stream;
}

static void make_streams(struct channel *channel) {
    size_t tail = dialect->size_has_tail ? strlen(dialect->tail) : 0;
    if (options->size <= tail) fail("a message of %zu bytes has no room for its end", options->size);
    size_t payload = options->size - tail;
    channel->out = make_stream(channel->index, payload, dialect->published_head, &published_length);
    channel->in = make_stream(channel->index, payload, dialect->delivered_head, &delivered_length);
}

// MARK: - Publishing

static void mark_due(struct channel *channel) {
    if (channel->due) return;
    channel->due = true;
    due[due_count++] = channel;
}

// When message `number` is due, at a fixed rate. The channels begin one after another within the time of one message.
static uint64_t due_at(const struct channel *channel, uint64_t number) {
    return channel->begins + (uint64_t)((double)number * SECOND / options->rate);
}

static bool may_publish(const struct channel *channel, uint64_t time) {
    if (channel->published - channel->completed >= options->window) return false;
    return options->rate == 0 || due_at(channel, channel->published) <= time;
}

// All that the window, and the rate, let in leaves in one write.
static void publish(struct channel *channel) {
    uint64_t time = now();
    while (may_publish(channel, time)) {
        struct message *message = &channel->messages[channel->published % options->window];
        message->published_at = options->rate == 0 ? time : due_at(channel, channel->published);
        message->missing = options->subscribers;
        channel->published++;
    }
    channel->sent = stream_send(&channel->out, channel->publisher, channel->sent, channel->published * published_length);
    bool wants_room = channel->sent < channel->published * published_length;
    if (wants_room == channel->wants_room) return;
    channel->wants_room = wants_room;
    connection_want_room(channel->publisher, channel, wants_room);
}

static void publish_due(void) {
    for (unsigned i = 0; i < due_count; i++) {
        due[i]->due = false;
        publish(due[i]);
    }
    due_count = 0;
}

// At a fixed rate: marks the publishers whose time has come, and says when the next one's comes.
static uint64_t mark_by_rate(void) {
    uint64_t next = UINT64_MAX, time = now();
    if (options->rate == 0) return next;
    for (unsigned i = 0; i < options->channels; i++) {
        struct channel *channel = &channels[i];
        if (channel->published - channel->completed >= options->window) continue;
        uint64_t at = due_at(channel, channel->published);
        if (at <= time) mark_due(channel);
        else if (at < next) next = at;
    }
    return next;
}

// What servers answer to each message does not matter.
static void publisher_event(struct channel *channel, uint32_t events) {
    uint8_t *bytes;
    if (events & ~(uint32_t)EPOLLOUT) {
        size_t length = connection_receive(channel->publisher, &bytes, NULL);
        if (length > 0 && options->protocol == PROTOCOL_LINE) fail("the server told a publisher: %.*s", (int)length, bytes);
    }
    if (events & EPOLLOUT) mark_due(channel);
}

// MARK: - Subscribers

// Takes out what the server said between messages; returns what is left.
static size_t without_interjections(struct subscriber *subscriber, uint8_t *bytes, size_t length) {
    size_t position = subscriber->received % delivered_length, read = 0, kept = 0;
    while (read < length) {
        if (position == 0 && subscriber->interjected == 0 && bytes[read] == (uint8_t)dialect->interjection[0]) {
            subscriber->interjected = (unsigned)strlen(dialect->interjection);
        }
        size_t part = subscriber->interjected > 0 ? subscriber->interjected : delivered_length - position;
        if (part > length - read) part = length - read;
        if (subscriber->interjected > 0) {
            subscriber->interjected -= (unsigned)part;
        } else {
            if (kept != read) memmove(bytes + kept, bytes + read, part);
            kept += part;
            position = (position + part) % delivered_length;
        }
        read += part;
    }
    return kept;
}

static void verify(const struct subscriber *subscriber, const uint8_t *bytes, size_t length) {
    const struct channel *channel = subscriber->channel;
    if (subscriber->received + length > channel->published * delivered_length) {
        fail("subscriber %u of channel %u got more than was published", subscriber->index, channel->index);
    }
    if (!stream_has(&channel->in, subscriber->received, bytes, length)) {
        fail("subscriber %u of channel %u got wrong bytes after %" PRIu64, subscriber->index, channel->index,
             subscriber->received);
    }
}

static void count_deliveries(struct subscriber *subscriber, uint64_t time) {
    struct channel *channel = subscriber->channel;
    while (subscriber->received >= (subscriber->delivered + 1) * delivered_length) {
        struct message *message = &channel->messages[subscriber->delivered++ % options->window];
        histogram_record(&measurement.latencies, time - message->published_at);
        measurement.deliveries++;
        if (--message->missing > 0) continue;
        channel->completed++;  // in order: whoever has got this one has got those before it
        measurement.messages++;
        mark_due(channel);
    }
}

static void subscriber_event(struct subscriber *subscriber) {
    uint8_t *bytes;
    size_t length = connection_receive(subscriber->descriptor, &bytes, NULL);
    if (dialect->interjection) length = without_interjections(subscriber, bytes, length);
    if (length == 0) return;
    if (options->verify) verify(subscriber, bytes, length);
    subscriber->received += length;
    measurement.bytes += length;
    count_deliveries(subscriber, now());
}

// MARK: - Beginning

static void subscribe_all(struct channel *channel) {
    struct subscriber *subscribers = allocate(options->subscribers, sizeof *subscribers);
    for (unsigned i = 0; i < options->subscribers; i++) {
        struct subscriber *subscriber = &subscribers[i];
        *subscriber = (struct subscriber){.kind = KIND_SUBSCRIBER, .index = i, .channel = channel};
        subscriber->descriptor = connection_open();
        dialect->begin_subscribing(subscriber->descriptor, channel->index);
        connection_watch(subscriber->descriptor, subscriber);
    }
}

static void open_channels(void) {
    channels = allocate(options->channels, sizeof *channels);
    due = allocate(options->channels, sizeof(struct channel *));
    for (unsigned i = 0; i < options->channels; i++) {
        struct channel *channel = &channels[i];
        *channel = (struct channel){.kind = KIND_PUBLISHER, .index = i};
        channel->messages = allocate(options->window, sizeof *channel->messages);
        make_streams(channel);
        subscribe_all(channel);
    }
}

// When all subscribers have been told that they are.
static void start_publishers(void) {
    for (unsigned i = 0; i < options->channels; i++) {
        struct channel *channel = &channels[i];
        channel->publisher = connection_open();
        dialect->begin_publishing(channel->publisher, i);
        connection_watch(channel->publisher, channel);
    }
    uint64_t time = now();
    for (unsigned i = 0; i < options->channels; i++) {
        double part = options->rate > 0 ? SECOND / options->rate * i / options->channels : 0;
        channels[i].begins = time + (uint64_t)part;
        mark_due(&channels[i]);
    }
}

static void turn(void) {
    struct epoll_event events[EVENTS_A_TURN];
    uint64_t next = mark_by_rate();
    publish_due();
    int count = connections_wait(events, next);
    for (int i = 0; i < count; i++) {
        enum kind kind = *(enum kind *)events[i].data.ptr;
        if (kind == KIND_SUBSCRIBER) subscriber_event(events[i].data.ptr);
        else publisher_event(events[i].data.ptr, events[i].events);
    }
}

void run_fanout(const struct options *given) {
    options = given;
    dialect = dialect_of(options->protocol);
    connections_prepare(options->port, options->channels * (options->subscribers + 1));
    open_channels();
    start_publishers();
    measurement_start(&measurement, options, false);
    do turn(); while (measurement_continues(&measurement, now()));
    measurement_report(&measurement);
}
