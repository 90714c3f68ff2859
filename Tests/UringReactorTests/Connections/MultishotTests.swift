import CLiburing
import SystemPackage
import Testing

@testable import UringReactor

/// Receives that go on and on: pausing them, changing their buffers, and cancels that miss.
@Suite(.timeLimit(.minutes(20))) struct MultishotTests {
    private func makeRun(_ kernel: FaultyKernel = FaultyKernel(), buffers: Int = 64, size: Int = 256) throws -> ReactorRun {
        var configuration = ReactorConfiguration()
        configuration.receiveBufferCount = buffers
        configuration.receiveBufferSize = size
        return try ReactorRun(configuration, kernel: kernel)
    }

    // They pause with something in hand, and hold no buffer.
    @Test(arguments: [0, 1]) func aPausedConnectionCostsNoBuffer(lostCancels: Int) throws {
        let kernel = FaultyKernel()
        kernel.lostCancels = lostCancels
        let run = try makeRun(kernel, buffers: 16)
        let scripts = (0..<10).map { _ in
            Script { event, connection in
                // Not in the event itself: the receive that follows is armed by then.
                if case .opened = event { connection.table.later { connection.pauseReading() } }
                return Script.usual(event, connection)
            }
        }
        var rest = scripts[...]
        let server = try run.server { _ in rest.removeFirst().handler }
        let peers = try scripts.map { _ in try RawPeer(to: server.address) }
        var phase = 0
        var waited = 0
        let statistics = try run.run {
            let statistics = run.reactor.statistics
            switch phase {
            case 0 where statistics.connectionsOpened == 10 && statistics.turns > 20:
                peers.forEach { $0.send("a") }
                phase = 1
            case 1 where statistics.bytesReceived == 10:
                #expect(statistics.receiveBuffersInUse == 0)
                if kernel.lostCancels == 0, lostCancels > 0 { scripts.forEach { #expect($0.bytes.isEmpty) } }
                peers.forEach { $0.send("b") }
                phase = 2
            case 2:
                // With the receive cancelled, what comes waits in the kernel.
                waited += 1
                #expect(statistics.receiveBuffersInUse == 0)
                guard waited == 20 else { break }
                #expect(statistics.bytesReceived == 10 + UInt64(lostCancels))
                for (number, peer) in peers.enumerated() {
                    peer.send("c\(number)")
                    peer.close()
                }
                scripts.forEach { $0.connection?.resumeReading() }
                phase = 3
            default: break
            }
            return phase == 3 && scripts.allSatisfy { $0.reason != nil } && server.connectionCount == 0
        }
        for (number, script) in scripts.enumerated() {
            #expect(script.seen == [.opened, .received("abc\(number)"), .ended, .closed(.closed)])
        }
        #expect(kernel.lostCancels == 0)
        #expect(statistics.receiveBuffersInUse == 0)
        #expect(statistics.bytesCopied >= 10)
    }

    // Bytes in hand and the end behind them, and the handler takes one event, pauses, and goes on later, again and again.
    @Test func whatIsHeldComesOneByOneBeforeTheEnd() throws {
        let run = try makeRun(size: 8)
        let script = Script { event, connection in
            switch event {
            case .opened: connection.table.later { connection.pauseReading() }
            case .received:
                connection.pauseReading()
                connection.table.later {
                    connection.resumeReading()
                    connection.pauseReading()
                    connection.resumeReading()
                }
            default: break
            }
            return Script.usual(event, connection)
        }
        let server = try run.server { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        var hasSent = false
        try run.run {
            let statistics = run.reactor.statistics
            if !hasSent, statistics.connectionsOpened == 1, statistics.turns > 10 {
                hasSent = true
                peer.send(content(of: 1, words: 100))
                peer.close()
            }
            if statistics.bytesReceived > 0, script.seen == [.opened] { script.connection?.resumeReading() }
            return script.reason != nil && server.connectionCount == 0
        }
        #expect(script.bytes == content(of: 1, words: 100))
        #expect(script.reason == .closed)
    }

    // Small, large and small buffers again, by what the peer sends; a cancel that misses only takes longer.
    @Test(arguments: [
        (ReceivePolicy.adaptive, 64, 0), (.adaptive, 64, 1), (.adaptive, 64, 2), (.singleShot, 64, 0), (.adaptive, 0, 0),
    ])
    func buffersFollowTheTraffic(policy: ReceivePolicy, buffers: Int, lostCancels: Int) throws {
        let kernel = FaultyKernel()
        kernel.lostCancels = lostCancels
        let run = try makeRun(kernel, buffers: buffers)
        let receipts = Receipts()
        var configuration = ServerConfiguration()
        configuration.connection.receiving = policy
        let server = try run.server(configuration) { _ in receipts.handler() }
        let peer = try RawPeer(to: server.address)
        // Each part is sent when the one before has been received. Words of a part: much, little, much again.
        let parts = [Int](repeating: 1024, count: 4) + [Int](repeating: 1, count: 40) + [Int](repeating: 1024, count: 4)
        var rest = parts[...]
        var sent = 0
        var largest: [Int] = []
        var seen = 0
        let all = content(of: 7, words: parts.reduce(0, +))
        let statistics = try run.run {
            guard run.reactor.statistics.bytesReceived == UInt64(sent) else { return false }
            if sent > 0, seen < receipts.sizes.count { largest.append(receipts.sizes[seen...].max() ?? 0) }
            seen = receipts.sizes.count
            if let words = rest.popFirst() {
                peer.send(all[sent..<(sent + 8 * words)])
                sent += 8 * words
            } else {
                peer.close()
            }
            return receipts.ended == 1 && server.connectionCount == 0
        }
        #expect(receipts.all[7] == all)
        #expect(largest.count == 48)
        // Much comes in large pieces once that is known, and after little has come, in small ones first.
        #expect(largest[3] > 256)
        #expect(largest[44] >= 256)
        #expect(largest[47] > 256)
        let firstOfSecond = receipts.sizes.lastIndex { $0 == 8 }! + 1
        #expect(receipts.sizes[firstOfSecond] <= 256, "a large buffer was kept")
        #expect(kernel.lostCancels == 0)
        #expect(statistics.receiveBuffersInUse == 0)
    }

    @Test func multishotNeverUsesLargeBuffersAndIsOneOperation() throws {
        let run = try makeRun()
        let receipts = Receipts()
        var configuration = ServerConfiguration()
        configuration.connection.receiving = .multishot
        let server = try run.server(configuration) { _ in receipts.handler() }
        let peer = try RawPeer(to: server.address)
        peer.send(content(of: 1, words: 1000))
        peer.close()
        let statistics = try run.run { receipts.ended == 1 && server.connectionCount == 0 }
        #expect(receipts.all[1] == content(of: 1, words: 1000))
        #expect(receipts.sizes.allSatisfy { $0 <= 256 })
        #expect(statistics.startedByKind[.receive] <= 1 + statistics.receivesWithoutBuffer)
        #expect(statistics.startedByKind[.cancel] == 1)
    }

    // In any event, with more of the same receive to come, or none.
    @Test(arguments: ["close", "abort", "stop", "throw", "pause"], [1, 3]) func aHandlerMayDoAnythingInTheMiddle(
        what: String, after events: Int
    ) throws {
        let kernel = FaultyKernel()
        var configuration = ReactorConfiguration()
        configuration.receiveBufferCount = 8
        configuration.receiveBufferSize = 16
        let run = try ReactorRun(configuration, kernel: kernel)
        var count = 0
        let script = Script { event, connection in
            guard case .received = event else { return Script.usual(event, connection) }
            count += 1
            guard count == events else { return .continue }
            switch what {
            case "close": connection.close()
            case "abort": connection.abort()
            case "stop": run.reactor.stop()
            case "throw": throw Mishap()
            default:
                connection.pauseReading()
                connection.close()
                connection.resumeReading()
            }
            return .continue
        }
        let server = try run.server { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        peer.send(content(of: 1, words: 500))
        peer.shutdownSending()
        let statistics = try run.run { script.reason != nil && server.connectionCount == 0 }
        #expect(count == events || what == "stop")
        #expect(statistics.receiveBuffersInUse == 0)
        #expect(run.reported.count == (what == "throw" ? 1 : 0))
    }

    // What comes for a connection that is gone has nobody to go to; its buffer goes back.
    @Test func aStaleCompletionReturnsItsBuffer() throws {
        let kernel = try MemoryKernel(startingAt: 0)
        kernel.takesBufferRings = true
        kernel.capabilities.multishotReceive = true
        let reactor = try Reactor.quiet(kernel: kernel) { $0.receiveBufferCount = 8 }
        #expect(unsafe kernel.bufferRings.map { unsafe $0.tail.pointee } == [8, 1])
        for number in [3, 0x8000] as [UInt32] {
            let token = OperationToken(.receive, slot: 5, generation: 1)
            let flags = UInt32(IORING_CQE_F_BUFFER) | number << UInt32(IORING_CQE_BUFFER_SHIFT)
            reactor.connections.complete(Completion(userData: token.rawValue, result: 10, flags: flags), token)
        }
        #expect(unsafe kernel.bufferRings.map { unsafe $0.tail.pointee } == [9, 2])
        #expect(reactor.statistics.staleCompletions == 2)
        #expect(reactor.core.rings?.small.available == 8)
    }
}
