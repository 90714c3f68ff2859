// The SwiftNIO twin: what `samples echo-server` and `samples pubsub-server` do, over one event loop.
//
//     twin-nio echo|pubsub [--port N]

import Glibc
import NIOCore
import NIOPosix

let options = Options(CommandLine.arguments.dropFirst())
raiseDescriptorLimit()
signal(SIGPIPE, SIG_IGN)

// Blocked before there is a second thread, so that only `sigwait` below gets it.
var termination = sigset_t()
sigemptyset(&termination)
sigaddset(&termination, SIGTERM)
sigaddset(&termination, SIGINT)
pthread_sigmask(SIG_BLOCK, &termination, nil)

let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
let server = try TwinServer.bootstrap(options.service, on: group).bind(host: "127.0.0.1", port: options.port).wait()
print("listening on 127.0.0.1:\(server.localAddress?.port ?? 0)")
fflush(nil)

var received: Int32 = 0
sigwait(&termination, &received)
exit(0)
