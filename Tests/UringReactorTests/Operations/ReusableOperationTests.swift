import Glibc
import ReactorTesting
import SystemPackage
import Testing

@testable import UringReactor

/// Writes down what it is told, and does what the test says next.
private struct Recorder: OperationHandler {
    let notes: Notes
    let next: (OperationEvent, ReusableOperation) throws -> Void

    mutating func handle(_ event: OperationEvent, of operation: ReusableOperation) throws {
        #expect(!notes.isInside, "a handler was called from within itself")
        notes.isInside = true
        defer { notes.isInside = false }
        notes.all.append("\(event)")
        notes.operation = operation
        try next(event, operation)
    }
}

private final class Notes {
    var all: [String] = []
    var operation: ReusableOperation?
    var isInside = false
}

extension Reactor {
    @discardableResult
    fileprivate func note(
        _ notes: Notes, _ next: @escaping (OperationEvent, ReusableOperation) throws -> Void
    ) throws -> ReusableOperation {
        try makeOperation(handler: Recorder(notes: notes, next: next))
    }
}

@Suite(.timeLimit(.minutes(20))) struct ReusableOperationTests {
    /// One slot, whatever is done with it, and one step after the other.
    @Test func aFileStepByStep() throws {
        let reactor = try Reactor.quiet()
        let file = try TemporaryFile("0123456789")
        let notes = Notes()
        var descriptor = FileDescriptor(rawValue: -1)
        try reactor.note(notes) { event, operation in
            switch notes.all.count {
            case 1: operation.open(file.path, .readWrite)
            case 2:
                guard case .descriptor(let opened) = event else { return }
                descriptor = opened
                notes.all[1] = "descriptor"
                operation.size(of: descriptor)
            case 3: operation.write("ab", to: descriptor, at: 4)
            case 4: operation.fsync(descriptor)
            case 5: operation.read(from: descriptor, at: 2, upTo: 5)
            case 6: operation.read(from: descriptor, at: 100, upTo: 5)
            case 7: operation.close(descriptor)
            default: break
            }
        }
        try reactor.runToIdle()
        #expect(
            notes.all == [
                "ready", "descriptor", "count(10)", "count(2)", "completed", #"bytes("23ab6")"#, #"bytes("")"#, "completed",
            ])
        #expect(reactor.statistics.operationsHighWaterMark == 1)
    }

    @Test func bothEndsOfASocket() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        let (left, right) = (Notes(), Notes())
        try reactor.note(left) { event, operation in
            switch left.all.count {
            case 1: operation.send("hello", to: pair.left)
            case 2: operation.send(["wor", "", "ld"], to: pair.left)
            case 3: operation.shutdown(pair.left, .sending)
            default: break
            }
        }
        var received = ""
        try reactor.note(right) { event, operation in
            if case .bytes(let bytes) = event {
                received += String(bytes)
                if bytes.isEmpty { return }
            }
            operation.receive(from: pair.right, upTo: 4)
        }
        try reactor.runToIdle()
        #expect(left.all == ["ready", "count(5)", "count(5)", "completed"])
        #expect(received == "helloworld")
    }

    @Test func acceptingConnectingPollingWaiting() throws {
        let reactor = try Reactor.quiet()
        let kernel = reactor.core.kernel
        let listener = try kernel.socket(.ipv4)
        try kernel.bind(listener, to: .loopback(port: 0))
        try kernel.listen(listener, backlog: 8)
        let address = try kernel.localAddress(of: listener)
        let client = try kernel.socket(.ipv4)
        let (accepting, connecting) = (Notes(), Notes())
        var accepted: [FileDescriptor] = []
        try reactor.note(accepting) { event, operation in
            switch event {
            case .ready: operation.acceptMultishot(on: listener)
            case .descriptor(let descriptor):
                accepted.append(descriptor)
                operation.cancel()
            default: break
            }
        }
        try reactor.note(connecting) { event, operation in
            switch connecting.all.count {
            case 1: operation.connect(client, to: address)
            case 2: operation.poll(client, for: .writable)
            case 3: operation.timeout(after: .microseconds(10))
            case 4: operation.nop()
            default: break
            }
        }
        try reactor.runToIdle()
        #expect(accepted.count == 1)
        #expect(accepting.all.last?.contains("ECANCELED") == true || accepting.all.last?.contains("canceled") == true)
        #expect(connecting.all.count == 5)
        #expect(connecting.all[1] == "completed")
        #expect(connecting.all[3...] == ["completed", "completed"])
        for descriptor in accepted + [client, listener] { try descriptor.close() }
    }

    // MARK: - Cancelling

    /// Told once, and only when nothing is in flight any more, so that it can start again at once.
    @Test(arguments: UInt64(0)..<200) func cancelledAndStartedAgain(seed: UInt64) throws {
        let simulation = try Simulation(seed: seed, faults: .nasty(seed: seed))
        let notes = Notes()
        var generator = SeededGenerator(seed: seed)
        var failures = 0
        let operation = try simulation.reactor.note(notes) { event, operation in
            if case .failed(let error) = event {
                #expect(error.isCancelled)
                failures += 1
            }
            #expect(!operation.isInFlight)
            guard notes.all.count < 50 else { return }
            operation.timeout(after: .microseconds(Int(generator.next() % 2_000)))
            if generator.next() % 3 == 0 { operation.cancel() }
        }
        simulation.reactor.every(.microseconds(300)) { if notes.all.count < 50 { operation.cancel() } }
        try simulation.run(until: { notes.all.count == 50 })
        #expect(failures > 0)
        try simulation.finish()
        #expect(notes.all.count == 50)
    }

    @Test func cancellingWhatIsNotInFlight() throws {
        let reactor = try Reactor.quiet()
        let notes = Notes()
        var found: [Bool] = []
        try reactor.note(notes) { event, operation in
            found.append(operation.cancel())
            if case .ready = event {
                operation.timeout(after: .seconds(1000))
                found += [operation.cancel(), operation.cancel()]
            }
        }
        try reactor.runToIdle()
        #expect(found == [false, true, false, false])
        #expect(notes.all.count == 2)
    }

    // MARK: - Giving up

    @Test(arguments: [false, true]) func discardedFromWithin(inFlight: Bool) throws {
        let reactor = try Reactor.quiet()
        weak var kept: Kept?
        do {
            let own = Kept()
            kept = own
            let notes = Notes()
            try reactor.note(notes) { _, operation in
                withExtendedLifetime(own) {}
                if inFlight { operation.timeout(after: .seconds(1000)) }
                operation.discard()
                operation.discard()
            }
        }
        #expect(kept != nil)
        try reactor.runToIdle()
        #expect(kept == nil)
        #expect(reactor.registry.slots.count == 0)
    }

    @Test func discardedFromOutside() throws {
        let reactor = try Reactor.quiet()
        let notes = Notes()
        let operation = try reactor.note(notes) { _, operation in operation.timeout(after: .seconds(1000)) }
        reactor.after(.milliseconds(1)) {
            operation.discard()
            #expect(!operation.cancel())
        }
        try reactor.runToIdle()
        #expect(notes.all == ["ready"])
        #expect(reactor.registry.slots.count == 0)
    }

    /// Its slot is another's then, and the old handle harmless.
    @Test func aStaleHandle() throws {
        let reactor = try Reactor.quiet()
        let (first, second) = (Notes(), Notes())
        try reactor.note(first) { _, operation in operation.discard() }
        reactor.after(.milliseconds(1)) {
            let again = try reactor.note(second) { event, operation in
                if case .ready = event { operation.timeout(after: .milliseconds(1)) }
                first.operation?.discard()
                #expect(first.operation?.cancel() == false)
                #expect(first.operation?.isInFlight == false)
            }
            #expect(again != first.operation)
        }
        try reactor.runToIdle()
        #expect(second.all == ["ready", "completed"])
    }

    /// One that waits for nothing does not keep a reactor from its end, which lets go of the handler.
    @Test func theEndOfTheReactor() throws {
        weak var kept: Kept?
        let reactor = try Reactor.quiet()
        let (idle, busy) = (Notes(), Notes())
        do {
            let own = Kept()
            kept = own
            try reactor.note(idle) { _, _ in withExtendedLifetime(own) {} }
        }
        try reactor.note(busy) { event, operation in
            if case .ready = event { operation.timeout(after: .seconds(1000)) }
        }
        reactor.after(.milliseconds(1)) { reactor.stop() }
        try reactor.run()
        #expect(idle.all == ["ready"])
        #expect(busy.all.count == 2)
        #expect(busy.all.last?.hasPrefix("failed") == true)
        #expect(kept == nil)
    }

    /// A reactor that never ran lets go of its handlers, too.
    @Test func aReactorThatNeverRan() throws {
        weak var kept: Kept?
        do {
            let own = Kept()
            kept = own
            let reactor = try Reactor.quiet()
            try reactor.note(Notes()) { _, _ in withExtendedLifetime(own) {} }
        }
        #expect(kept == nil)
    }

    // MARK: - Errors

    @Test func whatAHandlerThrows() throws {
        var reports: [String] = []
        let reactor = try Reactor.quiet { $0.onReport = { reports.append("\($0)") } }
        let notes = Notes()
        try reactor.note(notes) { _, operation in
            if notes.all.count < 3 { operation.nop() }
            throw Errno.invalidArgument
        }
        try reactor.runToIdle()
        #expect(notes.all == ["ready", "completed", "completed"])
        #expect(reports.count == 3)
        #expect(reactor.statistics.errorsThrown == 3)
    }

    @Test func moreThanMayBe() throws {
        let reactor = try Reactor.quiet { $0.maximumOperations = 1 }
        try reactor.note(Notes()) { _, operation in operation.discard() }
        #expect(throws: IOError(.nop, .noBufferSpace)) { try reactor.note(Notes()) { _, _ in } }
        try reactor.runToIdle()
    }

    @Test func startedTwice() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let reactor = try Reactor()
            try reactor.note(Notes()) { _, operation in
                operation.nop()
                operation.nop()
            }
            try reactor.run(.untilIdle)
        }
        #expect(lastWords(of: result).contains("in flight"))
    }

    @Test func startedAfterItWasDiscarded() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let reactor = try Reactor()
            try reactor.note(Notes()) { _, operation in
                operation.discard()
                operation.nop()
            }
            try reactor.run(.untilIdle)
        }
        #expect(lastWords(of: result).contains("discarded"))
    }

    @Test func usedWhereNoReactorRuns() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let reactor = try Reactor()
            try reactor.note(Notes()) { _, _ in }.nop()
        }
        #expect(lastWords(of: result).contains("outside of its reactor"))
    }
}

private final class Kept {}

private func lastWords(of result: ExitTest.Result?) -> String {
    String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
}
