import Dispatch
import Glibc

/// Calls back, on a thread of its own, at the first SIGINT or SIGTERM. A second one ends the process in the usual way.
struct TerminationSignals {
    private let sources: [any DispatchSourceSignal]

    init(_ callback: @escaping @Sendable () -> Void) {
        sources = [SIGINT, SIGTERM].map { number in
            // Dispatch only watches: the signal's own action must not end the process first.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                signal(number, SIG_DFL)
                callback()
            }
            source.resume()
            return source
        }
    }

    func cancel() {
        for source in sources { source.cancel() }
    }
}
