import SystemPackage
import Testing

@testable import UringReactor

/// Peers that take no more for now: when they are given up, what can happen meanwhile, and what their queues keep.
@Suite(.timeLimit(.minutes(20))) struct StallTests {
    private static let second: UInt64 = 1_000_000_000
    private static let much = content(of: 3, words: 25_000)

    /// A connection that has much to send to a peer with little room. `step` is called again and again once it has
    /// stalled, with the peer and what has come there so far.
    private func stall(
        _ kernel: FaultyKernel = FaultyKernel(), _ script: Script? = nil,
        _ configure: (inout ConnectionOptions) -> Void = { _ in },
        _ step: @escaping (Connection, RawPeer, inout [UInt8]) -> Void
    ) throws -> (script: Script, received: [UInt8], statistics: Statistics) {
        let run = try ReactorRun(ReactorConfiguration(), kernel: kernel)
        var configuration = ServerConfiguration()
        configuration.socketOptions = [.sendBuffer: 4096]
        configure(&configuration.connection)
        let script = script ?? Script { event, connection in
            if case .opened = event { connection.send(Bytes(Self.much)) }
            return Script.usual(event, connection)
        }
        let server = try run.server(configuration) { _ in script.handler }
        let peer = try RawPeer(to: server.address, receiveBuffer: 4096)
        var received: [UInt8] = []
        let statistics = try run.run {
            if script.reason != nil, server.connectionCount == 0 { return true }
            if let connection = script.connection, run.reactor.statistics.stalls > 0 { step(connection, peer, &received) }
            return false
        }
        return (script, received, statistics)
    }

    private func read(_ peer: RawPeer, _ received: inout [UInt8]) {
        for _ in 0..<50 {
            guard peer.descriptor >= 0, let bytes = peer.receive(waits: false) else { return }
            received += bytes
            if bytes.isEmpty { peer.close() }
        }
    }

    // MARK: - The write timeout

    @Test func whoTakesNothingIsGivenUp() throws {
        let kernel = FaultyKernel()
        var moves = 0
        let (script, _, _) = try stall(kernel) { _, _, _ in
            guard moves < 5 else { return }
            moves += 1
            kernel.clockOffset += 11 * Self.second
        }
        #expect(script.seen == [.opened, .closed(.writeTimedOut)])
    }

    @Test func notBeforeItsTime() throws {
        let kernel = FaultyKernel()
        var steps = 0
        let (script, _, _) = try stall(kernel, nil, { $0.writeTimeout = .seconds(100) }) { connection, _, _ in
            steps += 1
            if steps == 1 { kernel.clockOffset += 40 * Self.second }
            if steps <= 20 { #expect(connection.isOpen) }
            if steps == 20 { connection.abort() }
        }
        #expect(script.reason == .aborted)
    }

    // A byte acknowledged is enough, though nothing is sent and no room is made.
    @Test func whoAcknowledgesSomethingIsNotGivenUp() throws {
        let kernel = FaultyKernel()
        kernel.unacknowledged = 1000
        var moves = 0
        var before = 0
        let (script, _, _) = try stall(kernel) { connection, _, _ in
            switch moves {
            case 0..<4:
                #expect(connection.isOpen)
                guard kernel.questions > before else { return }
                before = kernel.questions
                kernel.unacknowledged! -= 1
                kernel.clockOffset += 11 * Self.second
                moves += 1
            case 4:
                guard kernel.questions > before else { return }
                #expect(connection.isOpen)
                moves += 1
                kernel.clockOffset += 11 * Self.second
            default: break
            }
        }
        #expect(moves == 5)
        #expect(script.reason == .writeTimedOut)
    }

    @Test(arguments: [false, true]) func whereNothingWaitsNothingTimesOut(isOff: Bool) throws {
        let kernel = FaultyKernel()
        var moves = 0
        let (script, received, _) = try stall(kernel, nil, { if isOff { $0.writeTimeout = nil } }) {
            connection, peer, received in
            if !isOff {
                read(peer, &received)
                guard received.count == Self.much.count else { return }
            }
            moves += 1
            if moves <= 3 { kernel.clockOffset += 11 * Self.second }
            if moves == 10 {
                #expect(connection.isOpen)
                connection.abort()
            }
        }
        #expect(script.reason == .aborted)
        #expect(isOff || received == Self.much)
    }

    // MARK: - What can happen meanwhile

    @Test(arguments: ["close", "shutdown", "drain"]) func allArrivesInTheEnd(what: String) throws {
        var isAsked = false
        var drained = false
        let script = Script { event, connection in
            switch event {
            case .opened: connection.send(Bytes(Self.much))
            case .drained:
                drained = true
                if what == "drain" { return .close }
            default: break
            }
            return .continue
        }
        let (_, received, statistics) = try stall(FaultyKernel(), script, {
            $0.highWatermark = 100_000
            $0.lowWatermark = 10_000
        }) { connection, peer, received in
            if !isAsked {
                isAsked = true
                if what == "close" { connection.close() }
                if what == "shutdown" { connection.shutdownSending() }
                #expect(connection.pendingBytes > 0)
            }
            read(peer, &received)
        }
        #expect(received == Self.much)
        #expect(drained == (what != "close"))
        #expect(script.reason == (what == "shutdown" ? .bothEnded : .closed))
        #expect(statistics.shortSends > 0)
    }

    @Test(arguments: [false, true]) func theEndOfAPeerThatDoesNotReadIsNoticed(isReset: Bool) throws {
        var failures = 0
        let script = Script { event, connection in
            if case .opened = event { connection.send(Bytes(Self.much)) { if case .failure = $0 { failures += 1 } } }
            if case .ended = event { return .abort }
            return .continue
        }
        _ = try stall(FaultyKernel(), script) { _, peer, _ in
            if isReset { peer.reset() } else { peer.shutdownSending() }
        }
        #expect(script.reason == (isReset ? .reset : .aborted))
        #expect(failures == 1)
    }

    // MARK: - What is kept

    // Received bytes that wait for a peer that does not read keep no receive buffers once these are scarce; and they are
    // sent as they were.
    @Test func queuesAreCopiedOutWhenBuffersAreScarce() throws {
        var configuration = ReactorConfiguration()
        configuration.receiveBufferCount = 16
        configuration.receiveBufferSize = 256
        let run = try ReactorRun(configuration)
        var serverConfiguration = ServerConfiguration()
        serverConfiguration.socketOptions = [.sendBuffer: 4096]
        serverConfiguration.connection.receiving = .multishot
        var reader: Connection?
        var received = 0
        let server = try run.server(serverConfiguration) { connection in
            if reader == nil {
                reader = connection
                return Script().handler
            }
            return Script(keepsBytes: false) { event, connection in
                if case .received(let bytes) = event {
                    received += bytes.count
                    reader?.send(bytes)
                }
                return Script.usual(event, connection)
            }.handler
        }
        let slow = try RawPeer(to: server.address, receiveBuffer: 4096)
        let writer = try RawPeer(to: server.address)
        let parts = 10
        var sent = 0
        var all: [UInt8] = []
        let message = Array(Self.much[..<20_000])
        let statistics = try run.run {
            guard run.reactor.statistics.connectionsOpened == 2, received == sent else { return false }
            let statistics = run.reactor.statistics
            // Fewer than a quarter left would be too few.
            #expect(statistics.receiveBuffersInUse <= 12)
            if sent < parts * message.count {
                writer.send(message)
                sent += message.count
                return false
            }
            writer.close()
            read(slow, &all)
            return all.count == sent
        }
        #expect(all == (0..<parts).flatMap { _ in message })
        #expect(statistics.stalls > 0)
        #expect(statistics.bytesCopied > 0)
    }

    // One after the other has the same slot. The list of those that stalled must not remember each of them.
    @Test func pastConnectionsAreForgotten() throws {
        let run = try ReactorRun()
        var configuration = ServerConfiguration()
        configuration.socketOptions = [.sendBuffer: 4096]
        let server = try run.server(configuration) { _ in
            Script { event, connection in
                if case .opened = event { connection.send(Bytes(Self.much)) }
                return Script.usual(event, connection)
            }.handler
        }
        var peer: RawPeer?
        var count = 0
        var most = 0
        var opened: UInt64 = 0
        try run.run {
            most = max(most, run.reactor.connections.stalledConnections.count)
            if peer == nil, server.connectionCount == 0 {
                guard count < 200 else { return true }
                count += 1
                peer = try? RawPeer(to: server.address, receiveBuffer: 4096)
            } else if run.reactor.statistics.connectionsOpened == UInt64(count), run.reactor.statistics.stalls > opened {
                opened = run.reactor.statistics.stalls
                peer?.reset()
                peer = nil
            }
            return false
        }
        #expect(count == 200)
        #expect(most <= 70)
    }

    // MARK: - Peers that have ended their sending

    /// On Linux a poll for room completes at once for such a peer; the loop must not turn with it.
    @Test func aHalfClosedPeerThatReadsLateGetsAllAndTheLoopRests() throws {
        let script = Script { event, connection in
            if case .opened = event { connection.send(Bytes(Self.much)) }
            if case .drained = event { return .close }
            return .continue
        }
        var steps = 0
        var halfClosed: RawPeer?
        var (_, received, statistics) = try stall(FaultyKernel(), script, { options in
            options.highWatermark = 1
            options.lowWatermark = 0
        }) { _, peer, received in
            steps += 1
            halfClosed = peer
            if steps == 1 { peer.shutdownSending() }
            // Not read at first: the time in which it would spin.
            if steps > 50 { self.read(peer, &received) }
        }
        // What it had not read when we had sent all.
        received += halfClosed?.receiveAll() ?? []
        let isWhole = received == Self.much
        #expect(isWhole, "\(received.count) of \(Self.much.count) bytes")
        #expect(script.reason == .closed)
        // Those that were under way when the peer ended; all that waited later waited for a timer.
        #expect(statistics.completedByKind[.poll] <= 2)
        #expect(statistics.stalls > 2)
    }
}
