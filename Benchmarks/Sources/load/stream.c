// Endless streams of known bytes.
#include "stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "support.h"

enum { VECTORS_A_SEND = 64 };

void fill_with_letters(uint8_t *bytes, size_t length, uint64_t seed) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < length; i++) {
        state ^= state << 13;  // xorshift64
        state ^= state >> 7;
        state ^= state << 17;
        bytes[i] = (uint8_t)letters[state & 31];
    }
}

static unsigned describe(const struct stream *stream, uint64_t position, uint64_t end, struct iovec *vectors) {
    unsigned count = 0;
    while (position < end && count < VECTORS_A_SEND) {
        size_t offset = position % stream->length, length = stream->length - offset;
        if (length > end - position) length = end - position;
        vectors[count++] = (struct iovec){stream->bytes + offset, length};
        position += length;
    }
    return count;
}

uint64_t stream_send(const struct stream *stream, int descriptor, uint64_t position, uint64_t end) {
    while (position < end) {
        struct iovec vectors[VECTORS_A_SEND];
        struct msghdr message = {.msg_iov = vectors, .msg_iovlen = describe(stream, position, end, vectors)};
        ssize_t sent = sendmsg(descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) fail_errno("sending to the server");
        position += (uint64_t)sent;
    }
    return position;
}

bool stream_has(const struct stream *stream, uint64_t position, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        size_t offset = position % stream->length, part = stream->length - offset;
        if (part > length) part = length;
        if (memcmp(stream->bytes + offset, bytes, part) != 0) return false;
        bytes += part;
        position += part;
        length -= part;
    }
    return true;
}
