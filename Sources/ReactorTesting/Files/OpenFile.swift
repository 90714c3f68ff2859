/// What a descriptor refers to: an open file description, open(2). It lives for as long as a descriptor or an operation
/// refers to it, and only then is released; so close(2) does not end what is under way (trap 3).
class OpenFile {
    private(set) var references = 0
    /// Operations that wait for a change, in the order in which they came.
    private(set) var waiters: [Operation] = []
    /// Completions that are held back. A later receive must not overtake an earlier one, nor a send a send.
    var heldReceives = Held()
    var heldSends = Held()

    struct Held {
        var count = 0
        /// When the last of them will be posted.
        var last: UInt64 = 0
    }

    unowned let kernel: SimulatedKernel

    init(kernel: SimulatedKernel) {
        self.kernel = kernel
    }

    final func retain() {
        references += 1
    }

    final func drop() {
        precondition(references > 0, "a file dropped once too often")
        references -= 1
        if references == 0 { release() }
    }

    /// Nothing refers to the file any more.
    func release() {}

    /// What poll(2) says.
    var readiness: Readiness { [] }

    final func addWaiter(_ operation: Operation) {
        if !waiters.contains(where: { $0 === operation }) { waiters.append(operation) }
    }

    final func removeWaiter(_ operation: Operation) {
        waiters.removeAll { $0 === operation }
    }

    /// Lets those go on that wait for any of `changes`.
    final func wake(_ changes: Readiness) {
        for operation in waiters where !operation.interest.isDisjoint(with: changes) { kernel.wake(operation) }
    }
}

/// An eventfd(2), which only a ``SimulatedWaker`` writes to.
final class EventFile: OpenFile {
    private(set) var edges: UInt64 = 0

    func signal() {
        edges += 1
        wake(.readable)
    }

    // Never read, so readable from the first signal on.
    override var readiness: Readiness { edges > 0 ? [.readable, .writable] : .writable }
}
