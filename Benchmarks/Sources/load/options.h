// What the load generator is told to do.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mode { MODE_ECHO, MODE_FANOUT, MODE_CHURN, MODE_IDLE };
enum protocol { PROTOCOL_ECHO, PROTOCOL_LINE, PROTOCOL_REDIS, PROTOCOL_NATS, PROTOCOL_HTTP };

struct options {
    enum mode mode;
    enum protocol protocol;
    uint16_t port;
    unsigned connections;
    unsigned depth;
    unsigned channels;
    unsigned subscribers;  // of each channel
    unsigned window;
    unsigned concurrency;
    size_t size;
    double rate;  // messages a second of each publisher; 0: as fast as the window lets it
    double warm_up;
    double duration;
    int server;  // a process, or 0
    bool count_syscalls;
    const char *allocation_counter;
    bool verify;
};

// Ends the program with how it is used if the arguments make no sense.
struct options options_read(int count, char **arguments);
