import SystemPackage
import Testing

@testable import UringReactor

/// How connections end: every way in which a peer can go, and every way in which we can.
@Suite struct EndingTests {
    /// Runs a server for one connection of a raw peer, which `peer` plays after the script's handler was made.
    @discardableResult
    private func serve(
        _ script: Script, _ configuration: ServerConfiguration = ServerConfiguration(),
        _ play: (RawPeer) throws -> Void
    ) throws -> (ReactorRun, Statistics) {
        let run = try ReactorRun()
        let server = try run.server(configuration) { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        try play(peer)
        stopWhenClosed(script, run, server)
        let statistics = try run.run()
        withExtendedLifetime(peer) {}
        return (run, statistics)
    }

    /// Looks at each turn whether the connection has come and gone.
    private func stopWhenClosed(_ script: Script, _ run: ReactorRun, _ server: Server) {
        let reactor = run.reactor
        func look() {
            guard script.reason == nil || server.connectionCount > 0 else { return reactor.stop() }
            reactor.after(.milliseconds(1), look)
        }
        look()
    }

    // MARK: - The peer goes

    @Test func thePeersEndIsToldAfterItsBytes() throws {
        let script = Script()
        try serve(script) { peer in
            peer.send("all I have")
            peer.close()
        }
        #expect(script.seen == [.opened, .received("all I have"), .ended, .closed(.closed)])
    }

    @Test func aResetIsOne() throws {
        let script = Script()
        try serve(script) { $0.reset() }
        #expect(script.seen == [.opened, .closed(.reset)])
    }

    @Test func aPeerThatOnlyEndsItsSendingGetsTheAnswer() throws {
        let script = Script { event, connection in
            switch event {
            case .ended:
                connection.send("answer")
                return .close
            default: return .continue
            }
        }
        var answer = ""
        let run = try ReactorRun()
        let server = try run.server { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        peer.send("question")
        peer.shutdownSending()
        stopWhenClosed(script, run, server)
        try run.run()
        answer = peer.receiveText()
        #expect(answer == "answer")
        #expect(script.seen == [.opened, .received("question"), .ended, .closed(.closed)])
    }

    // What the peer said before it vanished is read although our send has failed first. The reset comes while we send in
    // the same turn, and a send that fails at once completes before a receive that waited.
    @Test(arguments: [false, true]) func lastWordsAreHeardAfterASendHasFailed(isReset: Bool) throws {
        let peer = Box<RawPeer>()
        let script = Script { event, connection in
            if case .timedOut = event {
                peer.value?.send("last words")
                if isReset { peer.value?.reset() } else { peer.value?.close() }
                connection.send("too late")
                // A send to a peer that has closed is answered with a reset; the next one fails.
                connection.table.flush()
                connection.table.core.submit()
                return .continue
            }
            if case .opened = event { connection.setDeadline(after: .milliseconds(2)) }
            return Script.usual(event, connection)
        }
        try serve(script) { peer.value = $0 }
        #expect(script.text == "last words")
        if isReset {
            #expect(script.seen == [.opened, .timedOut, .received("last words"), .closed(.reset)])
        }
    }

    // MARK: - We go

    @Test func aCloseSendsWhatIsQueuedFirst() throws {
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            for number in 0..<1000 { connection.send(Bytes("\(number),")) }
            connection.close()
            #expect(!connection.isOpen)
            #expect(connection.send("refused") == .refused)
            return .continue
        }
        let run = try ReactorRun()
        let server = try run.server { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        stopWhenClosed(script, run, server)
        // What comes during the flush is thrown away, and must not reset the connection.
        peer.send("nobody reads this")
        peer.shutdownSending()
        try run.run()
        #expect(peer.receiveText() == (0..<1000).map { "\($0)," }.joined())
        #expect(peer.lastError == 0)
        #expect(script.seen == [.opened, .closed(.closed)])
    }

    @Test func aPeerThatDoesNotEndIsLingeredForSoLong() throws {
        var configuration = ServerConfiguration()
        configuration.connection.lingerTimeout = .milliseconds(5)
        let script = Script { event, _ in if case .opened = event { .close } else { .continue } }
        try serve(script, configuration) { _ in }
        #expect(script.seen == [.opened, .closed(.closed)])
    }

    @Test func aPeerThatDoesNotReadIsFlushedForSoLong() throws {
        var configuration = ServerConfiguration()
        configuration.connection.flushTimeout = .milliseconds(20)
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            connection.send(Bytes([UInt8](repeating: 1, count: 16 << 20)))
            return .close
        }
        try serve(script, configuration) { _ in }
        #expect(script.seen == [.opened, .closed(.closeTimedOut)])
    }

    // The longest duration there is must not wrap around to now.
    @Test func theLongestTimesAreNotShort() throws {
        var configuration = ServerConfiguration()
        configuration.connection.flushTimeout = .seconds(Int64.max)
        configuration.connection.lingerTimeout = .seconds(Int64.max)
        configuration.connection.idleTimeout = .seconds(Int64.max)
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            connection.setDeadline(after: .seconds(Int64.max))
            connection.send(Bytes([UInt8](repeating: 1, count: 16 << 20)))
            return .close
        }
        let run = try ReactorRun()
        let server = try run.server(configuration) { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        stopWhenClosed(script, run, server)
        var got = 0
        func read() {
            while let bytes = peer.receive(upTo: 1 << 20, waits: false) {
                got += bytes.count
                if bytes.isEmpty { return peer.close() }
            }
            run.reactor.after(.milliseconds(1), read)
        }
        read()
        try run.run()
        #expect(got == 16 << 20)
        #expect(script.seen == [.opened, .closed(.closed)])
    }

    @Test func anAbortDoesNotWait() throws {
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            connection.send(Bytes([UInt8](repeating: 1, count: 16 << 20)))
            return .abort
        }
        let (_, statistics) = try serve(script) { _ in }
        #expect(script.seen == [.opened, .closed(.aborted)])
        #expect(statistics.bytesSent < 16 << 20)
    }

    // Callbacks of what was still queued say why it was not sent, whatever was asked for first.
    @Test func aFlushThatFailsSaysWhy() throws {
        var outcomes: [Errno] = []
        let peer = Box<RawPeer>()
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            for _ in 0..<2 {
                connection.send(Bytes([UInt8](repeating: 1, count: 16 << 20))) { result in
                    if case .failure(let error) = result { outcomes.append(error.errno) }
                    peer.value = nil
                }
            }
            connection.close()
            connection.table.later { peer.value?.reset() }
            return .continue
        }
        try serve(script) { peer.value = $0 }
        // The receive and the send in flight share one error; which of them gets it is the kernel's affair.
        #expect(script.reason == .reset || script.reason == .brokenPipe)
        #expect(outcomes.count == 2 && outcomes.allSatisfy { $0 == .connectionReset || $0 == .brokenPipe })
    }

    @Test func bothSidesMayEndOneAfterTheOther() throws {
        let script = Script { event, connection in
            switch event {
            case .opened:
                connection.send("mine")
                connection.shutdownSending()
                #expect(connection.isOpen)
                #expect(connection.send("more") == .refused)
            default: break
            }
            return .continue
        }
        let run = try ReactorRun()
        let server = try run.server { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        let reactor = run.reactor
        reactor.receive(from: FileDescriptor(rawValue: peer.descriptor)) { result in
            let bytes = try result.get()
            #expect(bytes == "mine")
            reactor.receive(from: FileDescriptor(rawValue: peer.descriptor)) { result in
                let rest = try result.get()
                #expect(rest.isEmpty)
                peer.send("yours")
                peer.close()
            }
        }
        stopWhenClosed(script, run, server)
        try run.run()
        #expect(script.seen == [.opened, .received("yours"), .ended, .closed(.bothEnded)])
    }

    @Test func closingTwiceAndAfterwardsIsHarmless() throws {
        let script = Script { event, connection in
            switch event {
            case .opened:
                connection.close()
                connection.close()
                connection.shutdownSending()
                connection.pauseReading()
                connection.resumeReading()
                connection.setDeadline(after: .zero)
                return .close
            case .closed:
                connection.close()
                connection.abort()
                #expect(connection.send("x") == .refused)
                #expect(connection.remoteAddress == nil)
                #expect(connection.pendingBytes == 0)
                return .abort
            default: return .continue
            }
        }
        try serve(script) { $0.shutdownSending() }
        #expect(script.seen == [.opened, .closed(.closed)])
    }

    // MARK: - Errors

    @Test(arguments: ["opened", "received", "ended", "timedOut", "drained", "closed"])
    func aHandlerThatThrowsEndsItsConnection(at place: String) throws {
        var configuration = ServerConfiguration()
        configuration.connection.highWatermark = 0
        configuration.connection.lowWatermark = 0
        let script = Script { event, connection in
            let now =
                switch event {
                case .opened: "opened"
                case .received: "received"
                case .ended: "ended"
                case .timedOut: "timedOut"
                case .drained: "drained"
                case .closed: "closed"
                }
            if now == place { throw Mishap() }
            if now == "opened", place == "timedOut" { connection.setDeadline(after: .zero) }
            if now == "opened", place == "drained" { connection.send("x") }
            return .continue
        }
        let (run, statistics) = try serve(script, configuration) { peer in
            peer.send("x")
            if place == "ended" { peer.shutdownSending() }
            if place == "closed" { peer.reset() }
        }
        #expect(script.reason == (place == "closed" ? .reset : .handlerFailed))
        #expect(statistics.errorsThrown == 1)
        #expect(run.reported.count == 1)
    }

    @Test func theReactorsEndIsToldOnce() throws {
        let scripts = (0..<3).map { _ in Script() }
        let run = try ReactorRun()
        var next = 0
        let server = try run.server { _ in
            defer { next += 1 }
            return scripts[next].handler
        }
        let peers = try scripts.map { _ in try RawPeer(to: server.address) }
        func look() {
            guard server.connectionCount == 3 else { return run.reactor.after(.zero, look).ignore() }
            scripts[1].connection?.send(Bytes([UInt8](repeating: 1, count: 16 << 20)))
            scripts[2].connection?.send(Bytes([UInt8](repeating: 1, count: 16 << 20)))
            scripts[2].connection?.close()
            run.reactor.after(.milliseconds(2)) { run.reactor.stop() }
        }
        look()
        try run.run()
        withExtendedLifetime(peers) {}
        for script in scripts { #expect(script.seen == [.opened, .closed(.reactorStopped)]) }
    }
}

/// Something that is known later.
final class Box<Value> {
    var value: Value?
}
