// What both twins do before they serve: options, the listening socket, the signal that ends them.
#pragma once

#include "service.h"

// Reads `echo|pubsub [--port N]`, chooses the service and prepares the process; returns a listening socket on 127.0.0.1.
// Problems end the program.
// `socket_flags` may be SOCK_NONBLOCK.
int server_prepare(int argument_count, char **arguments, int socket_flags);

// Becomes readable when the program is told to terminate.
int server_termination(void);

// Says on stdout where it listens.
void server_announce(int listener);

// Ends the program with what went wrong; `error` is an errno.
_Noreturn void server_fail(const char *what, int error);
