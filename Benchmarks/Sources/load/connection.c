// Connections to the server.
#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "support.h"

enum { CALLERS = 250, ANSWER_SECONDS = 5 };

static int epoll = -1;
static struct sockaddr_in server_address;
static uint8_t receive_memory[RECEIVE_SIZE];

void connections_prepare(uint16_t port, unsigned needed) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail_errno("getrlimit");
    if (limit.rlim_max < needed + 16) {
        fail("%u connections need more than the %lu descriptors there may be", needed, (unsigned long)limit.rlim_max);
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    server_address = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail_errno("epoll_create1");
}

static int new_socket(int flags) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), on = 1;
    if (descriptor < 0) fail_errno("socket");
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return descriptor;
}

static int connect_to_server(int descriptor) {
    return connect(descriptor, (struct sockaddr *)&server_address, sizeof server_address);
}

int connection_open(void) {
    int descriptor = new_socket(0);
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect_to_server(descriptor) != 0) fail_errno("connecting to the server");
    return descriptor;
}

static void say(int descriptor, const char *request) {
    size_t length = strlen(request);
    if (send(descriptor, request, length, MSG_NOSIGNAL) != (ssize_t)length) fail_errno("sending a request");
}

// Receives at most `room` bytes of an answer that are appended to what there is.
static size_t hear(int descriptor, char *answer, size_t length, size_t room) {
    ssize_t received = recv(descriptor, answer + length, room - length, 0);
    if (received < 0 && errno == EAGAIN) fail("the server did not answer within %d s", ANSWER_SECONDS);
    if (received < 0) fail_errno("waiting for an answer");
    if (received == 0) fail("the server closed instead of answering, after: %.*s", (int)length, answer);
    return length + (size_t)received;
}

void connection_exchange(int descriptor, const char *request, const char *answer) {
    char heard[1024];
    size_t length = 0, wanted = strlen(answer);
    say(descriptor, request);
    while (length < wanted) length = hear(descriptor, heard, length, wanted);
    if (memcmp(heard, answer, wanted) != 0) fail("the server answered: %.*s", (int)length, heard);
}

void connection_exchange_until(int descriptor, const char *request, const char *ending) {
    char heard[16384];
    size_t length = 0, wanted = strlen(ending);
    say(descriptor, request);
    while (length < wanted || memcmp(heard + length - wanted, ending, wanted) != 0) {
        if (length == sizeof heard) fail("the server's answer is longer than expected");
        length = hear(descriptor, heard, length, sizeof heard);
    }
}

static void control(int operation, int descriptor, uint32_t events, void *context) {
    struct epoll_event event = {.events = events, .data.ptr = context};
    if (epoll_ctl(epoll, operation, descriptor, &event) != 0) fail_errno("epoll_ctl");
}

void connection_watch(int descriptor, void *context) {
    if (fcntl(descriptor, F_SETFL, O_NONBLOCK) != 0) fail_errno("fcntl");
    control(EPOLL_CTL_ADD, descriptor, EPOLLIN, context);
}

void connection_want_room(int descriptor, void *context, bool wanted) {
    control(EPOLL_CTL_MOD, descriptor, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, context);
}

int connection_start(void *context) {
    static unsigned caller;
    int descriptor = new_socket(SOCK_NONBLOCK), on = 1;
    setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + caller++ % CALLERS)};
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0) fail_errno("bind");
    if (connect_to_server(descriptor) != 0 && errno != EINPROGRESS) fail_errno("connecting to the server");
    control(EPOLL_CTL_ADD, descriptor, EPOLLIN | EPOLLOUT, context);
    return descriptor;
}

int connections_wait(struct epoll_event *events, uint64_t deadline) {
    uint64_t time = now(), latest = time + SECOND / 10;
    if (deadline > latest) deadline = latest;
    struct timespec left = {.tv_nsec = deadline > time ? (long)(deadline - time) : 0};
    int count = epoll_pwait2(epoll, events, EVENTS_A_TURN, &left, NULL);
    if (count < 0 && errno != EINTR) fail_errno("epoll_pwait2");
    return count > 0 ? count : 0;
}

size_t connection_receive(int descriptor, uint8_t **bytes, bool *end) {
    ssize_t received = recv(descriptor, receive_memory, sizeof receive_memory, 0);
    *bytes = receive_memory;
    if (received > 0) return (size_t)received;
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (received < 0) fail_errno("receiving from the server");
    if (!end) fail("the server closed a connection");
    *end = true;
    return 0;
}
