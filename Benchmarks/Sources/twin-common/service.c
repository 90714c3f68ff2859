// Echo, and publish/subscribe with a line protocol.
#include "service.h"

#include <string.h>

#include "channels.h"

enum {
    LONGEST_LINE = 4 * 1024 * 1024,
    LONGEST_NAME = 255,
    LONGEST_COMMAND = sizeof "SUBSCRIBE " - 1 + LONGEST_NAME + 2,
    // A subscriber for which more waits is too slow and is disconnected.
    MOST_PENDING = 64 * 1024 * 1024,
    // Fewer bytes than this are copied when receive buffers are scarce.
    FEW_BYTES = RECEIVE_BUFFER_SIZE / 16,
};

static enum service chosen_service;
static struct peer *first_due;
static struct peer **last_due = &first_due;

void service_choose(enum service service) { chosen_service = service; }

bool service_is_echo(void) { return chosen_service == SERVICE_ECHO; }

void service_mark_due(struct peer *peer) {
    if (peer->due) return;
    peer->due = true;
    peer->next_due = NULL;
    *last_due = peer;
    last_due = &peer->next_due;
}

bool service_any_due(void) { return first_due != NULL; }

struct peer *service_take_due(void) {
    struct peer *first = first_due;
    first_due = NULL;
    last_due = &first_due;
    return first;
}

// MARK: - Replies

static void end(struct peer *peer) {
    channel_leave(peer);
    queue_clear(&peer->line);
    peer->ending = true;
    service_mark_due(peer);
}

static void reply(struct peer *peer, const char *text) {
    size_t length = strlen(text);
    struct buffer *buffer = buffer_with_copy(text, length);
    queue_append(&peer->outgoing, buffer, buffer->bytes, length);
    buffer_release(buffer);
    service_mark_due(peer);
}

static void refuse(struct peer *peer, const char *error) {
    reply(peer, error);
    end(peer);
}

// MARK: - Publishing

static void deliver(struct channel *channel, const struct piece *piece) {
    for (uint32_t i = 0; i < channel->count; i++) {
        struct peer *subscriber = channel->subscribers[i];
        queue_append(&subscriber->outgoing, piece->buffer, piece->start, piece->length);
        service_mark_due(subscriber);
    }
}

// Goes backwards, because whoever is dismissed is replaced by the last one.
static void dismiss_slow_subscribers(struct channel *channel) {
    for (uint32_t i = channel->count; i-- > 0;) {
        if (channel->subscribers[i]->outgoing.bytes > MOST_PENDING) service_peer_lost(channel->subscribers[i]);
    }
}

static void publish(struct peer *publisher, const struct piece *lines) {
    struct channel *channel = publisher->channel;
    for (uint32_t i = 0; i < publisher->line.count; i++) deliver(channel, queue_piece(&publisher->line, i));
    deliver(channel, lines);
    if (publisher->line.count > 0) queue_clear(&publisher->line);
    dismiss_slow_subscribers(channel);
}

static bool is_bye(const uint8_t *line, size_t length) {
    return (length == 4 && memcmp(line, "BYE\n", 4) == 0) || (length == 5 && memcmp(line, "BYE\r\n", 5) == 0);
}

// The length of the whole lines at the front that are messages. A line is looked at once, to find its end; only one that is
// as short as BYE is looked at again.
static size_t messages_length(const struct peer *publisher, const uint8_t *start, size_t length, bool *bye, bool *too_long) {
    size_t line_start = 0, before = publisher->line.bytes;
    const uint8_t *newline;
    while ((newline = memchr(start + line_start, '\n', length - line_start))) {
        size_t line_length = (size_t)(newline + 1 - start) - line_start;
        *bye = before == 0 && is_bye(start + line_start, line_length);
        *too_long = before + line_length > LONGEST_LINE;
        if (*bye || *too_long) return line_start;
        line_start += line_length;
        before = 0;
    }
    *too_long = before + length - line_start > LONGEST_LINE;
    return line_start;
}

// "BYE\n" that came in more than one read stands in the unfinished line and the rest.
static bool is_bye_in_parts(const struct peer *publisher, const uint8_t *rest, size_t length) {
    uint8_t whole[5];
    size_t before = publisher->line.bytes, filled = 0;
    if (before == 0 || before + length > sizeof whole) return false;
    for (uint32_t i = 0; i < publisher->line.count; i++) {
        const struct piece *piece = queue_piece(&publisher->line, i);
        memcpy(whole + filled, piece->start, piece->length);
        filled += piece->length;
    }
    memcpy(whole + filled, rest, length);
    return is_bye(whole, before + length);
}

static void publisher_received(struct peer *peer, struct piece received) {
    bool bye = false, too_long = false;
    const uint8_t *newline = NULL;
    if (peer->line.bytes > 0 && peer->line.bytes < sizeof "BYE\r") {
        newline = memchr(received.start, '\n', received.length);
    }
    if (newline && is_bye_in_parts(peer, received.start, (size_t)(newline + 1 - received.start))) {
        end(peer);
        return;
    }
    size_t whole = messages_length(peer, received.start, received.length, &bye, &too_long);
    if (whole > 0) publish(peer, &(struct piece){received.buffer, received.start, whole});
    if (bye) end(peer);
    else if (too_long) refuse(peer, "ERROR line longer than 4194304 bytes\r\n");
    else if (whole < received.length) {
        queue_append(&peer->line, received.buffer, received.start + whole, received.length - whole);
    }
}

// MARK: - Commands

static bool is_name(const char *name, size_t length) {
    if (length == 0 || length > LONGEST_NAME) return false;
    for (size_t i = 0; i < length; i++) {
        if ((uint8_t)name[i] <= ' ' || name[i] == 0x7f) return false;
    }
    return true;
}

static bool join_if_command(struct peer *peer, const char *line, size_t length, const char *verb, enum role role) {
    size_t verb_length = strlen(verb);
    if (length < verb_length || memcmp(line, verb, verb_length) != 0) return false;
    if (!is_name(line + verb_length, length - verb_length)) {
        refuse(peer, "ERROR no channel name, or one that is too long or has blanks or control characters\r\n");
        return true;
    }
    channel_join(peer, role, line + verb_length, (uint32_t)(length - verb_length));
    reply(peer, "OK\r\n");
    return true;
}

static void obey(struct peer *peer, const char *line, size_t length) {
    if (length > 0 && line[length - 1] == '\r') length--;
    if (length == 3 && memcmp(line, "BYE", 3) == 0) {
        end(peer);
    } else if (peer->role == ROLE_SUBSCRIBER) {
        refuse(peer, "ERROR a subscriber may only send BYE\r\n");
    } else if (!join_if_command(peer, line, length, "PUBLISH ", ROLE_PUBLISHER)
               && !join_if_command(peer, line, length, "SUBSCRIBE ", ROLE_SUBSCRIBER)) {
        refuse(peer, "ERROR unknown command, expected PUBLISH <channel>, SUBSCRIBE <channel> or BYE\r\n");
    }
}

// Appends to the unfinished command; false if that makes it too long.
static bool keep_command(struct peer *peer, const struct piece *received) {
    if (peer->line.bytes + received->length > LONGEST_COMMAND) return false;
    queue_append(&peer->line, received->buffer, received->start, received->length);
    return true;
}

// Takes one command off the front of what was received, or keeps its beginning.
static void command_received(struct peer *peer, struct piece *received) {
    struct piece part = *received;
    const uint8_t *newline = memchr(part.start, '\n', part.length);
    if (newline) part.length = (size_t)(newline + 1 - part.start);
    received->start += part.length;
    received->length -= part.length;
    if (!keep_command(peer, &part)) {
        refuse(peer, "ERROR unknown command, longer than any\r\n");
        return;
    }
    if (!newline) return;
    char line[LONGEST_COMMAND];
    size_t length = 0;
    for (uint32_t i = 0; i < peer->line.count; i++) {
        const struct piece *piece = queue_piece(&peer->line, i);
        memcpy(line + length, piece->start, piece->length);
        length += piece->length;
    }
    queue_clear(&peer->line);
    obey(peer, line, length - 1);
}

static void pubsub_received(struct peer *peer, struct piece received) {
    while (received.length > 0 && peer->role != ROLE_GONE && peer->role != ROLE_PUBLISHER) command_received(peer, &received);
    if (received.length > 0 && peer->role == ROLE_PUBLISHER) publisher_received(peer, received);
}

// MARK: - What the twins call

static void serve(struct peer *peer, struct piece received) {
    if (!service_is_echo()) {
        pubsub_received(peer, received);
        return;
    }
    queue_append(&peer->outgoing, received.buffer, received.start, received.length);
    service_mark_due(peer);
}

void service_received(struct peer *peer, struct buffer *buffer, const uint8_t *start, size_t length) {
    if (length >= FEW_BYTES || !buffers_are_scarce()) {
        serve(peer, (struct piece){buffer, start, length});
        return;
    }
    struct buffer *copy = buffer_with_copy(start, length);
    serve(peer, (struct piece){copy, copy->bytes, length});
    buffer_release(copy);
}

void service_input_ended(struct peer *peer) { end(peer); }

void service_peer_lost(struct peer *peer) {
    end(peer);
    peer->lost = true;
}

void service_forget(struct peer *peer) {
    queue_clear(&peer->outgoing);
    queue_clear(&peer->line);
}
