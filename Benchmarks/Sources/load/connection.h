// Connections to the server, and the epoll that tells of them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

enum { EVENTS_A_TURN = 1024, RECEIVE_SIZE = 256 * 1024 };

// Raises the limit of descriptors; `needed` more than that end the program.
void connections_prepare(uint16_t port, unsigned needed);

// A connection that is ready, with TCP_NODELAY; its calls wait until `connection_watch` is called.
int connection_open(void);

// Says something and waits for exactly this answer.
void connection_exchange(int descriptor, const char *request, const char *answer);

// Says something and waits until the answer ends with this.
void connection_exchange_until(int descriptor, const char *request, const char *ending);

// From now on calls do not wait, and `connections_wait` tells of it.
void connection_watch(int descriptor, void *context);

// Whether it is to be told when there is room to send.
void connection_want_room(int descriptor, void *context, bool wanted);

// Starts to connect a socket, which is watched, for room too: there is some when it is connected. The callers' addresses
// are taken in turn, so that there are enough ports although each is held for a while after a close.
int connection_start(void *context);

// What has happened until `deadline`, or in the next 100 ms.
int connections_wait(struct epoll_event *events, uint64_t deadline);

// Receives into memory that all connections share: 0 if nothing is there. A close ends the program, except when `end` is
// given: it is set.
size_t connection_receive(int descriptor, uint8_t **bytes, bool *end);
