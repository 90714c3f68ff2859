import RawRing
import UringReactor

/// No-ops, 256 in flight, each started by the end of another: what a dispatch costs beside the ring.
enum Dispatch {
    private static let count = 1_000_000
    private static let inFlight = 256

    static func group() -> TaskGroup {
        TaskGroup(
            title: "Dispatch of a no-op (×: the raw ring)",
            tasks: [
                MeasuredTask(name: "dispatch: raw ring, in C", count: count, run: rawRing),
                MeasuredTask(name: "dispatch: state machine", count: count, run: stateMachine),
                MeasuredTask(name: "dispatch: callback that captures one reference", count: count, run: oneReference),
                MeasuredTask(name: "dispatch: callback with a fresh boxed closure", count: count, run: freshClosure),
            ])
    }

    private static func rawRing() {
        let status = raw_ring_run(UInt64(count), UInt32(inFlight))
        precondition(status == 0, "the raw ring failed: \(-status)")
    }

    // MARK: - State machine

    /// Its share of the no-ops, one after the other.
    private struct Machine: OperationHandler {
        let tally: Tally
        var left = count / inFlight

        mutating func handle(_ event: OperationEvent, of operation: ReusableOperation) throws {
            if case .failed(let error) = event { throw error }
            guard left > 0 else {
                tally.done += count / inFlight
                return
            }
            left -= 1
            operation.nop()
        }
    }

    private static func stateMachine() throws {
        let reactor = try Reactor()
        let tally = Tally()
        for _ in 0..<inFlight { try reactor.makeOperation(handler: Machine(tally: tally)) }
        try reactor.run(.untilIdle)
        precondition(tally.done == count / inFlight * inFlight)
    }

    // MARK: - Callbacks

    private final class Tally {
        var done = 0
    }

    /// Starts the next when one has ended.
    private final class Starter {
        let reactor: Reactor
        var left = Dispatch.count
        var done = 0

        init(_ reactor: Reactor) { self.reactor = reactor }

        func start() {
            left -= 1
            reactor.nop { _ in self.completed() }
        }

        func completed() {
            done += 1
            if left > 0 { start() }
        }

        /// A closure that captures a number, too, has to be put into a box of its own.
        func start(_ number: Int) {
            left -= 1
            reactor.nop { _ in self.completed(number) }
        }

        func completed(_ number: Int) {
            done += number
            if left > 0 { start(number) }
        }
    }

    private static func oneReference() throws {
        let reactor = try Reactor()
        let starter = Starter(reactor)
        for _ in 0..<inFlight { starter.start() }
        try reactor.run(.untilIdle)
        precondition(starter.done == count)
    }

    private static func freshClosure() throws {
        let reactor = try Reactor()
        let starter = Starter(reactor)
        for _ in 0..<inFlight { starter.start(1) }
        try reactor.run(.untilIdle)
        precondition(starter.done == count)
    }
}
