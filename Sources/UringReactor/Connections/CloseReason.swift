public import SystemPackage

/// Why a connection ended.
public enum CloseReason: Sendable, Hashable {
    /// We closed it: ``Connection/close()``, or a handler that answered ``NextStep/close``.
    case closed
    /// We closed it without waiting: ``Connection/abort()``, or ``NextStep/abort``.
    case aborted
    /// Both sides had ended their sending.
    case bothEnded
    /// The peer, or something between, reset it: ECONNRESET.
    case reset
    /// The peer had closed it when we were sending: EPIPE.
    case brokenPipe
    /// The peer has stopped answering, and the kernel has given it up: ETIMEDOUT. After many retransmissions, or by
    /// keep-alive probes; not one of the timeouts of ours.
    case timedOut
    /// The kernel ended it on this side: ECONNABORTED.
    case connectionAborted
    /// The network says that there is no way to the peer: EHOSTUNREACH, ENETUNREACH, …
    case unreachable(Errno)
    /// Nothing was received or sent for the idle timeout.
    case idle
    /// The deadline set by ``Connection/setDeadline(after:)`` passed, and the handler answered ``NextStep/close``.
    case deadline
    /// What was queued could not be sent in the time allowed for that: ``ConnectionOptions/flushTimeout``, or
    /// ``ServerConfiguration/drainTimeout``.
    case closeTimedOut
    /// The peer took nothing of what waited for it for ``ConnectionOptions/writeTimeout``.
    case writeTimedOut
    /// More was waiting to be sent than ``ConnectionOptions/maximumPendingBytes``: a peer that reads too slowly
    /// (``SlowConsumerPolicy/disconnect(farewell:)``).
    case slowConsumer
    /// The handler, or a callback of the connection, threw an error, which was reported.
    case handlerFailed
    /// The reactor stopped.
    case reactorStopped
    /// It never came to be.
    case connectFailed(IOError)
    /// Some other failure.
    case failed(IOError)
}

extension CloseReason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .closed: "closed by this side"
        case .aborted: "aborted by this side"
        case .bothEnded: "both sides had ended"
        case .reset: "reset by the peer"
        case .brokenPipe: "closed by the peer while data was sent to it"
        case .timedOut: "the peer stopped answering"
        case .connectionAborted: "ended by the kernel"
        case .writeTimedOut: "the peer took nothing for too long"
        case .unreachable(let errno): "the peer cannot be reached: \(errno)"
        case .idle: "idle for too long"
        case .deadline: "its deadline passed"
        case .closeTimedOut: "the peer took too long to take the rest"
        case .slowConsumer: "the peer reads too slowly"
        case .handlerFailed: "its handler failed"
        case .reactorStopped: "the reactor stopped"
        case .connectFailed(let error), .failed(let error): "\(error)"
        }
    }
}

extension CloseReason {
    /// The reason behind a receive or a send that failed.
    init(_ error: IOError) {
        switch error.errno {
        case .connectionReset: self = .reset
        case .brokenPipe: self = .brokenPipe
        case .timedOut: self = .timedOut
        case .connectionAbort: self = .connectionAborted
        case .noRouteToHost, .networkUnreachable, .hostIsDown, .networkDown: self = .unreachable(error.errno)
        default: self = .failed(error)
        }
    }
}
