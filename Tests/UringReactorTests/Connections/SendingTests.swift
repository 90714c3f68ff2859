import SystemPackage
import Testing

@testable import UringReactor

/// Sends: in order, together, complete, and bounded.
@Suite struct SendingTests {
    /// A server for one raw peer that reads slowly: a piece at a time, when the reactor has nothing better to do.
    private func serve(
        _ script: Script, _ configuration: ServerConfiguration = ServerConfiguration(), receiveBuffer: Int32? = nil,
        reads: Bool = true
    ) throws -> (received: [UInt8], statistics: Statistics) {
        let run = try ReactorRun()
        let server = try run.server(configuration) { _ in script.handler }
        let peer = try RawPeer(to: server.address, receiveBuffer: receiveBuffer)
        var all: [UInt8] = []
        func read() {
            if script.reason != nil, server.connectionCount == 0 { return run.reactor.stop() }
            if reads, let bytes = peer.receive(upTo: 10_000, waits: false) {
                all += bytes
                if bytes.isEmpty { peer.close() }
            }
            run.reactor.after(reads && peer.descriptor >= 0 ? .zero : .milliseconds(1), read)
        }
        read()
        let statistics = try run.run()
        return (all, statistics)
    }

    @Test func whatIsQueuedInOneTurnIsOneSend() throws {
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            for number in 0..<60 { connection.send(Bytes("message \(number)\n")) }
            return .close
        }
        let (received, statistics) = try serve(script)
        #expect(String(decoding: received, as: UTF8.self) == (0..<60).map { "message \($0)\n" }.joined())
        #expect(statistics.startedByKind[.send] == 1)
    }

    // More pieces than one vector takes, and than the largest takes.
    @Test(arguments: [1, 2, 63, 64, 65, 1023, 1024, 1025, 5000]) func manyPiecesStayInOrder(count: Int) throws {
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            for number in 0..<count { connection.send(Bytes("\(number) ")) }
            return .close
        }
        let (received, statistics) = try serve(script)
        #expect(String(decoding: received, as: UTF8.self) == (0..<count).map { "\($0) " }.joined())
        #expect(statistics.startedByKind[.send] == UInt64((count + 1023) / 1024))
    }

    // Pieces of many sizes against buffers of a few KiB: sends end in the middle of pieces.
    @Test func shortSendsAreFinished() throws {
        var configuration = ServerConfiguration()
        configuration.socketOptions = [.sendBuffer: 4096]
        let pieces = (0..<400).map { number in
            [UInt8]((0..<(number * 37 % 5000)).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) })
        }
        var sent = 0
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            for piece in pieces {
                connection.send(Bytes(piece)) { result in
                    #expect(result == .success(piece.count))
                    sent += 1
                }
            }
            return .close
        }
        let (received, _) = try serve(script, configuration, receiveBuffer: 4096)
        #expect(received == pieces.flatMap { $0 })
        #expect(sent == pieces.count)
    }

    @Test func callbacksComeInOrderAndLater() throws {
        var order: [Int] = []
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            for number in 0..<100 {
                // Empty pieces between the others have their turn, too.
                connection.send(number % 3 == 0 ? Bytes() : Bytes("x")) { result in
                    #expect(result == .success(number % 3 == 0 ? 0 : 1))
                    order.append(number)
                }
            }
            #expect(order.isEmpty)
            return .close
        }
        _ = try serve(script)
        #expect(order == Array(0..<100))
    }

    // Each on a later turn: a chain of them must not hold up the loop.
    @Test func emptySendsDoNotGoRoundInOneTurn() throws {
        var count = 0
        let script = Script { event, connection in
            switch event {
            case .opened:
                func again() {
                    count += 1
                    guard connection.isOpen, count < 100_000 else { return connection.abort() }
                    connection.send("") { _ in again() }
                }
                again()
                connection.setDeadline(after: .milliseconds(1))
                return .continue
            case .timedOut: return .abort
            default: return .continue
            }
        }
        _ = try serve(script)
        #expect(script.seen == [.opened, .timedOut, .closed(.deadline)])
    }

    @Test func drainedFollowsBacklogged() throws {
        var configuration = ServerConfiguration()
        configuration.socketOptions = [.sendBuffer: 4096]
        configuration.connection.highWatermark = 100_000
        configuration.connection.lowWatermark = 50_000
        var outcomes: [SendOutcome] = []
        let script = Script { event, connection in
            switch event {
            case .opened:
                for _ in 0..<3 { outcomes.append(connection.send(Bytes([UInt8](repeating: 1, count: 50_000)))) }
                return .continue
            case .drained:
                #expect(connection.pendingBytes <= 50_000)
                return .close
            default: return .continue
            }
        }
        let (received, _) = try serve(script, configuration, receiveBuffer: 4096)
        #expect(outcomes == [.queued, .queued, .backlogged])
        #expect(script.seen == [.opened, .drained, .closed(.closed)])
        #expect(received.count == 150_000)
    }

    // Who was told that it is backlogged waits for drained, also if it has asked for a half-close meanwhile.
    @Test func drainedFollowsAlsoBeforeAHalfClose() throws {
        var configuration = ServerConfiguration()
        configuration.connection.highWatermark = 10
        configuration.connection.lowWatermark = 0
        let script = Script { event, connection in
            switch event {
            case .opened:
                #expect(connection.send("more than ten bytes") == .backlogged)
                connection.shutdownSending()
                return .continue
            default: return .continue
            }
        }
        _ = try serve(script, configuration)
        #expect(script.seen == [.opened, .drained, .ended, .closed(.bothEnded)])
    }

    @Test func aPeerThatDoesNotReadIsASlowConsumer() throws {
        var configuration = ServerConfiguration()
        configuration.connection.maximumPendingBytes = 1 << 20
        var failures: [Errno] = []
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            let piece = Bytes([UInt8](repeating: 1, count: 1 << 18))
            for _ in 0..<4 { #expect(connection.send(piece) != .refused) }
            connection.send(piece) { result in
                if case .failure(let error) = result { failures.append(error.errno) }
            }
            #expect(!connection.isOpen)
            #expect(connection.send(piece) == .refused)
            return .continue
        }
        let (_, statistics) = try serve(script, configuration, reads: false)
        #expect(script.seen == [.opened, .closed(.slowConsumer)])
        #expect(failures == [.noBufferSpace])
        #expect(statistics.slowConsumers == 1)
    }

    @Test func onePieceMayBeLargerThanTheLimit() throws {
        var configuration = ServerConfiguration()
        configuration.connection.maximumPendingBytes = 10
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            #expect(connection.send("more than ten bytes") == .queued)
            return .close
        }
        let (received, _) = try serve(script, configuration)
        #expect(String(decoding: received, as: UTF8.self) == "more than ten bytes")
        #expect(script.seen == [.opened, .closed(.closed)])
    }

    @Test(arguments: [BatchingPolicy.turn, .threshold(1), .threshold(4)])
    func echoesEightMebibytesInBothStyles(batching: BatchingPolicy) throws {
        var configuration = ReactorConfiguration()
        configuration.batching = batching
        let run = try ReactorRun(configuration)
        let machines = try run.server { _ in
            Script(keepsBytes: false) { event, connection in
                if case .received(let bytes) = event { connection.send(bytes) }
                return Script.usual(event, connection)
            }.handler
        }
        let callbacks = try Server(on: .loopback(), reactor: run.reactor) { connection in
            func echo() {
                connection.receive { result in
                    guard let bytes = try result.get() else { return connection.close() }
                    connection.send(bytes) { _ in echo() }
                }
            }
            echo()
        }
        let sent = (0..<(8 << 10)).reduce(into: [UInt8]()) { all, block in
            all += [UInt8](repeating: UInt8(truncatingIfNeeded: block &* 31 ^ block >> 8), count: 1024)
        }
        // Both servers, with clients in both styles.
        var open = 4
        var wrong = 0
        func finished(_ received: [UInt8]) {
            if received != sent { wrong += 1 }
            open -= 1
            if open == 0 { run.reactor.stop() }
        }
        for server in [machines, callbacks] {
            let client = Script { event, connection in
                switch event {
                case .opened:
                    connection.send(Bytes(sent))
                    connection.shutdownSending()
                default: break
                }
                return .continue
            }
            let watch = Watch(client.handler) { finished(client.bytes) }
            run.reactor.connect(to: server.address, handler: watch)
            run.reactor.connect(to: server.address) { (result: Result<Connection, IOError>) in
                let connection = try result.get()
                connection.send(Bytes(sent)) { _ in connection.shutdownSending() }
                var received: [UInt8] = []
                func more() {
                    connection.receive { result in
                        guard let bytes = try result.get() else { return finished(received) }
                        received.append(bytes)
                        more()
                    }
                }
                more()
            }
        }
        try run.run()
        #expect(open == 0)
        #expect(wrong == 0)
    }
}

/// A handler around another, that tells when it has been closed.
struct Watch<Inner: ConnectionHandler>: ConnectionHandler {
    var inner: Inner
    let whenClosed: () -> Void

    init(_ inner: Inner, whenClosed: @escaping () -> Void) {
        self.inner = inner
        self.whenClosed = whenClosed
    }

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        defer { if case .closed = event { whenClosed() } }
        return try inner.handle(event, on: connection)
    }
}
