// The load generator of the benchmarks: neutral ground, which uses neither the library nor io_uring. One thread, epoll.
#include <signal.h>
#include <sys/prctl.h>

#include "modes.h"
#include "server.h"

int main(int count, char **arguments) {
    struct options options = options_read(count, arguments);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);  // messages at a fixed rate are sent when they are due, not 50 µs later
    server_watch(&options);
    switch (options.mode) {
    case MODE_ECHO: run_echo(&options); break;
    case MODE_FANOUT: run_fanout(&options); break;
    case MODE_CHURN: run_churn(&options); break;
    case MODE_IDLE: run_idle(&options); break;
    }
    return 0;
}
