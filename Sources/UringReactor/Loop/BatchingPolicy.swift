/// When the reactor enters the kernel.
///
/// Many operations in one system call is what io_uring is for; waiting too long for more of them costs latency.
public struct BatchingPolicy: Sendable, Hashable {
    enum Form: Hashable, Sendable {
        case turn
        case threshold(Int)
    }

    let form: Form

    /// One enter a turn: when all that was ready has been handled, what it queued is submitted; the same call waits, but
    /// only if nothing is ready. The default. (A submission queue that is full is submitted in between.)
    public static let turn = BatchingPolicy(form: .turn)

    /// Submits as soon as `operations` are queued, in the middle of a turn if need be; what is left is submitted, and
    /// waited for, after a turn in which nothing completed. Fewer and larger batches than ``turn`` under a trickle of
    /// completions, smaller ones under a flood.
    ///
    /// - Parameter operations: at least 1. Batches of 16 to 64 take nearly all there is to gain.
    public static func threshold(_ operations: Int) -> BatchingPolicy {
        precondition(operations >= 1, "a threshold of \(operations) operations")
        return BatchingPolicy(form: .threshold(operations))
    }
}

extension BatchingPolicy: CustomStringConvertible {
    /// `turn`, `threshold(32)`.
    public var description: String {
        switch form {
        case .turn: "turn"
        case .threshold(let operations): "threshold(\(operations))"
        }
    }
}
