// Options, the listening socket, and the signal that ends a twin.
#include "server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

enum { BACKLOG = 4096 };

void server_fail(const char *what, int error) {
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

static _Noreturn void usage(const char *program) {
    fprintf(stderr, "usage: %s echo|pubsub [--port N]\n", program);
    exit(2);
}

static void read_options(int count, char **arguments, uint16_t *port) {
    if (count != 2 && count != 4) usage(arguments[0]);
    if (strcmp(arguments[1], "echo") == 0) service_choose(SERVICE_ECHO);
    else if (strcmp(arguments[1], "pubsub") == 0) service_choose(SERVICE_PUBSUB);
    else usage(arguments[0]);
    if (count == 2) return;
    char *end;
    unsigned long number = strtoul(arguments[3], &end, 10);
    if (strcmp(arguments[2], "--port") != 0 || *end || number > UINT16_MAX) usage(arguments[0]);
    *port = (uint16_t)number;
}

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// Accepted sockets inherit TCP_NODELAY, which saves a call for each of them.
static int listen_on(uint16_t port, int socket_flags) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | socket_flags, 0);
    if (listener < 0) server_fail("socket", errno);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) server_fail("bind", errno);
    if (listen(listener, BACKLOG) != 0) server_fail("listen", errno);
    return listener;
}

int server_prepare(int argument_count, char **arguments, int socket_flags) {
    uint16_t port = 0;
    read_options(argument_count, arguments, &port);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    return listen_on(port, socket_flags);
}

int server_termination(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int descriptor = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor < 0) server_fail("signalfd", errno);
    return descriptor;
}

void server_announce(int listener) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0) server_fail("getsockname", errno);
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
}
