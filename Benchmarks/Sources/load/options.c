// Reading the arguments.
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
    "usage: load echo   --port P --connections N --size S --depth D\n"
    "       load fanout --port P --protocol line|redis|nats --channels C --subscribers N --size S --window W [--rate R]\n"
    "       load churn  --port P --protocol echo|http --concurrency K\n"
    "       load idle   --port P --protocol echo|http|line --connections N\n"
    "all:   --warmup SECONDS --duration SECONDS [--server-pid PID] [--count-syscalls] [--allocation-counter FILE]\n"
    "       [--verify]\n"
    "N subscribers of each channel; R messages a second of each publisher, of which each channel has one.\n";

static _Noreturn void usage(const char *problem, const char *what) {
    fprintf(stderr, "%s%s\n%s", problem, what, usage_text);
    exit(2);
}

static double number(const char *text, double least, double most) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most)) usage("not a number that makes sense here: ", text);
    return value;
}

static unsigned positive(const char *text) { return (unsigned)number(text, 1, 1e9); }

static enum mode mode_named(const char *name) {
    if (strcmp(name, "echo") == 0) return MODE_ECHO;
    if (strcmp(name, "fanout") == 0) return MODE_FANOUT;
    if (strcmp(name, "churn") == 0) return MODE_CHURN;
    if (strcmp(name, "idle") == 0) return MODE_IDLE;
    usage("no such mode: ", name);
}

static enum protocol protocol_named(const char *name) {
    static const char *const names[] = {"echo", "line", "redis", "nats", "http"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) return (enum protocol)i;
    }
    usage("no such protocol: ", name);
}

static bool mode_speaks(enum mode mode, enum protocol protocol) {
    switch (mode) {
    case MODE_ECHO: return protocol == PROTOCOL_ECHO;
    case MODE_FANOUT: return protocol == PROTOCOL_LINE || protocol == PROTOCOL_REDIS || protocol == PROTOCOL_NATS;
    case MODE_CHURN: return protocol == PROTOCOL_ECHO || protocol == PROTOCOL_HTTP;
    case MODE_IDLE: return protocol == PROTOCOL_ECHO || protocol == PROTOCOL_HTTP || protocol == PROTOCOL_LINE;
    }
    return false;
}

enum { PORT = 1, PROTOCOL, CONNECTIONS, SIZE, DEPTH, CHANNELS, SUBSCRIBERS, WINDOW, RATE, CONCURRENCY,
       WARM_UP, DURATION, SERVER, SYSCALLS, ALLOCATIONS, VERIFY };

static const struct option known[] = {
    {"port", required_argument, NULL, PORT},
    {"protocol", required_argument, NULL, PROTOCOL},
    {"connections", required_argument, NULL, CONNECTIONS},
    {"size", required_argument, NULL, SIZE},
    {"depth", required_argument, NULL, DEPTH},
    {"channels", required_argument, NULL, CHANNELS},
    {"subscribers", required_argument, NULL, SUBSCRIBERS},
    {"window", required_argument, NULL, WINDOW},
    {"rate", required_argument, NULL, RATE},
    {"concurrency", required_argument, NULL, CONCURRENCY},
    {"warmup", required_argument, NULL, WARM_UP},
    {"duration", required_argument, NULL, DURATION},
    {"server-pid", required_argument, NULL, SERVER},
    {"count-syscalls", no_argument, NULL, SYSCALLS},
    {"allocation-counter", required_argument, NULL, ALLOCATIONS},
    {"verify", no_argument, NULL, VERIFY},
    {0},
};

static void set(struct options *options, int option, const char *text) {
    switch (option) {
    case PORT: options->port = (uint16_t)number(text, 1, UINT16_MAX); break;
    case PROTOCOL: options->protocol = protocol_named(text); break;
    case CONNECTIONS: options->connections = positive(text); break;
    case SIZE: options->size = positive(text); break;
    case DEPTH: options->depth = positive(text); break;
    case CHANNELS: options->channels = positive(text); break;
    case SUBSCRIBERS: options->subscribers = positive(text); break;
    case WINDOW: options->window = positive(text); break;
    case RATE: options->rate = number(text, 0, 1e9); break;
    case CONCURRENCY: options->concurrency = positive(text); break;
    case WARM_UP: options->warm_up = number(text, 0, 1e6); break;
    case DURATION: options->duration = number(text, 0.001, 1e6); break;
    case SERVER: options->server = (int)number(text, 1, 1 << 22); break;
    case SYSCALLS: options->count_syscalls = true; break;
    case ALLOCATIONS: options->allocation_counter = text; break;
    case VERIFY: options->verify = true; break;
    default: usage("", "");
    }
}

struct options options_read(int count, char **arguments) {
    if (count < 2) usage("", "");
    struct options options = {
        .mode = mode_named(arguments[1]), .connections = 1, .depth = 1, .channels = 1, .subscribers = 1, .window = 1,
        .concurrency = 64, .size = 64, .warm_up = 1, .duration = 3};
    options.protocol = options.mode == MODE_FANOUT ? PROTOCOL_LINE : PROTOCOL_ECHO;
    int option;
    while ((option = getopt_long(count - 1, arguments + 1, "", known, NULL)) != -1) set(&options, option, optarg);
    if (optind < count - 1) usage("what is this: ", arguments[1 + optind]);
    if (options.port == 0) usage("where to? --port is missing", "");
    if (!mode_speaks(options.mode, options.protocol)) usage("this mode does not speak that protocol", "");
    if (options.count_syscalls && options.server == 0) usage("--count-syscalls needs --server-pid", "");
    return options;
}
