import CTestSupport
import SystemPackage
import Testing

@testable import UringReactor

/// What a message costs in allocations, once everything is warm.
///
/// Counts mean something in optimized code only: `swift test -c release -Xswiftc -enable-testing --filter Allocation`. In a
/// debug build the tests run, so that they do not rot, and check nothing but that the messages arrive.
@Suite(.enabled(if: allocation_counter_works()), .timeLimit(.minutes(20))) struct AllocationTests {
    #if DEBUG
    private static let isExact = false
    #else
    private static let isExact = true
    #endif

    private static let warmUp = 2000
    private static let measured = 10_000

    /// Counts messages, and the allocations between the last of the warm-up and the last of all.
    private final class Meter {
        private(set) var messages = 0
        private var start: UInt64 = 0
        private(set) var allocations: UInt64?

        /// True when it was the last one.
        func message() -> Bool {
            messages += 1
            if messages == AllocationTests.warmUp { start = allocation_count() }
            guard messages == AllocationTests.warmUp + AllocationTests.measured else { return false }
            allocations = allocation_count() - start
            return true
        }
    }

    private func expect(_ meter: Meter, atMost perMessage: Double) {
        let allocations = Double(meter.allocations ?? .max)
        #expect(meter.allocations != nil)
        if Self.isExact { #expect(allocations <= perMessage * Double(Self.measured)) }
    }

    private struct EchoServer: ConnectionHandler {
        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            switch event {
            case .received(let bytes): connection.send(bytes)
            case .opened, .drained, .closed: break
            case .ended, .timedOut: return .close
            }
            return .continue
        }
    }

    private struct EchoClient: ConnectionHandler {
        let meter: Meter
        let message: Bytes

        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            switch event {
            case .opened: connection.send(message)
            case .received:
                if meter.message() {
                    Reactor.current?.stop()
                } else {
                    connection.send(message)
                }
            case .drained, .ended, .timedOut, .closed: break
            }
            return .continue
        }
    }

    @Test(arguments: [BatchingPolicy.turn, .threshold(16)])
    func stateMachinesAllocateNothing(policy: BatchingPolicy) throws {
        let reactor = try Reactor.quiet { $0.batching = policy }
        let server = try Server(on: .loopback(), reactor: reactor) { _ in EchoServer() }
        let meter = Meter()
        reactor.connect(to: server.address, handler: EchoClient(meter: meter, message: "a message of a few bytes\n"))
        try reactor.run()
        expect(meter, atMost: 0)
    }

    /// Two operations a message on each side, and each closure with a context of its own.
    @Test func callbacksOfConnectionsAllocateOnceAnOperation() throws {
        let reactor = try Reactor.quiet()
        func echo(_ connection: Connection) {
            connection.receive { result in
                // The stop ends it with an error.
                guard case .success(let bytes?) = result else { return connection.close() }
                connection.send(bytes) { _ in echo(connection) }
            }
        }
        let server = try Server(on: .loopback(), reactor: reactor, onConnection: echo)
        let meter = Meter()
        let message: Bytes = "a message of a few bytes\n"
        func ask(_ connection: Connection) {
            connection.send(message) { _ in
                connection.receive { _ in
                    if meter.message() { return reactor.stop() }
                    ask(connection)
                }
            }
        }
        reactor.connect(to: server.address) { ask(try $0.get()) }
        try reactor.run()
        expect(meter, atMost: 4)
    }

    @Test func callbacksOfDescriptorsAllocateOnceAnOperation() throws {
        let reactor = try Reactor.quiet()
        let pair = try SocketPair()
        func echo() {
            reactor.receive(from: pair.left) { result in
                guard case .success(let bytes) = result else { return }
                reactor.send(bytes, to: pair.left) { _ in echo() }
            }
        }
        let meter = Meter()
        let message: Bytes = "a message of a few bytes\n"
        func ask() {
            reactor.send(message, to: pair.right) { _ in
                reactor.receive(from: pair.right) { _ in
                    if meter.message() { return reactor.stop() }
                    ask()
                }
            }
        }
        echo()
        ask()
        try reactor.run()
        expect(meter, atMost: 4)
    }

    @Test func aNoOperationAllocatesItsContextOnly() throws {
        let reactor = try Reactor.quiet()
        let meter = Meter()
        func next() {
            reactor.nop { _ in
                if meter.message() { return }
                next()
            }
        }
        next()
        try reactor.runToIdle()
        expect(meter, atMost: 1)
    }

    @Test func aTimeoutAllocatesNothingMore() throws {
        let reactor = try Reactor.quiet()
        let waker = try eventDescriptor()
        let meter = Meter()
        func next() {
            reactor.poll(waker.descriptor, for: .readable, timeout: .seconds(1000)) { _ in
                if meter.message() { return }
                next()
            }
        }
        waker.wake()
        next()
        try reactor.runToIdle()
        waker.close()
        expect(meter, atMost: 1)
    }
}
