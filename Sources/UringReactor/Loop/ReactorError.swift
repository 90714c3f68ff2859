public import SystemPackage

/// Why a reactor cannot run.
public enum ReactorError: Error, Sendable, Equatable, CustomStringConvertible {
    /// ``Reactor/run(_:)`` was called a second time: a reactor runs once.
    case finished
    /// ``Reactor/run(_:)`` was called on a thread on which a reactor runs already, from one of its callbacks. One that
    /// is paused does not run.
    case nested
    /// The kernel refused to enable the ring or to be entered; what was in flight is lost.
    case ringFailed(Errno)

    public var description: String {
        switch self {
        case .finished: "this reactor has run; make a new one"
        case .nested: "a reactor runs on this thread already; give the other one a thread of its own"
        case .ringFailed(let errno): "the ring failed: \(errno) (\(ErrnoName.of(errno)))"
        }
    }
}
