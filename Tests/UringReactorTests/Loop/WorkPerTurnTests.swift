import Testing

@testable import UringReactor

/// What comes in great numbers does not keep the others waiting.
@Suite(.timeLimit(.minutes(20))) struct WorkPerTurnTests {
    @Test func manyEndsLeaveRoomForAnEcho() throws {
        var configuration = ReactorConfiguration()
        configuration.workPerTurn = 8
        let run = try ReactorRun(configuration)
        var order: [String] = []
        var turns: [UInt64] = []
        let server = try run.server { _ in
            Script { event, connection in
                switch event {
                case .received(let bytes):
                    order.append("echo")
                    connection.send(bytes)
                case .ended:
                    order.append("end")
                    turns.append(run.reactor.core.statistics.turns)
                    return .close
                default: break
                }
                return .continue
            }.handler
        }
        let peers = try (0..<120).map { _ in try RawPeer(to: server.address) }
        var hasClosed = false
        let statistics = try run.run {
            if !hasClosed, run.reactor.statistics.connectionsOpened == 120 {
                hasClosed = true
                for (place, peer) in peers.enumerated() { if place == 60 { peer.send("ping") } else { peer.close() } }
            }
            if hasClosed, let answer = peers[60].receive(waits: false) {
                #expect(answer == Array("ping".utf8))
                peers[60].close()
            }
            return hasClosed && server.connectionCount == 0
        }
        let echo = try #require(order.firstIndex(of: "echo"))
        // In which order completions come is the kernel's affair, and differs.
        #expect(echo < 119)
        // No turn handles more, and none that could not go on with the rest.
        for turn in Set(turns) { #expect(turns.count { $0 == turn } <= 8) }
        #expect(statistics.completionsPerTurn.max <= 8)
    }

    @Test func aBroadcastGoesOutInParts() throws {
        var configuration = ReactorConfiguration()
        configuration.workPerTurn = 8
        let run = try ReactorRun(configuration)
        var open: [Connection] = []
        let server = try run.server { _ in
            Script { event, connection in
                if case .opened = event { open.append(connection) }
                return Script.usual(event, connection)
            }.handler
        }
        let peers = try (0..<100).map { _ in try RawPeer(to: server.address) }
        var largest: UInt64 = 0
        var before: UInt64 = 0
        func watch() {
            let sends = run.reactor.core.statistics.startedByKind[.send]
            largest = max(largest, sends - before)
            before = sends
            if sends < 100 { run.reactor.after(.zero, watch) }
        }
        var (isSent, isOver) = (false, false)
        try run.run {
            if !isSent, open.count == 100 {
                isSent = true
                for connection in open { connection.send("to all") }
                watch()
            }
            if before == 100, !isOver {
                isOver = true
                peers.forEach { $0.shutdownSending() }
            }
            return before == 100 && server.connectionCount == 0
        }
        for peer in peers { #expect(peer.receiveText() == "to all") }
        #expect(largest <= 8)
    }
}
