import Dispatch
import Glibc

/// Ends this program at SIGINT or SIGTERM, with all that it has started.
struct Interruption {
    private let sources: [any DispatchSourceSignal]

    init(_ scratch: ScratchFolder) {
        sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            // Dispatch only watches: the signal's own action must not end the process first.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                Children.killAll {
                    scratch.remove()
                    // Not `exit`, whose handlers may run into what the main thread is doing.
                    _exit(128 + number)
                }
            }
            source.resume()
            return source
        }
    }

    func cancel() {
        for source in sources { source.cancel() }
    }
}
