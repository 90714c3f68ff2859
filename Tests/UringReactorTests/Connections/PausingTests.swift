import Testing

@testable import UringReactor

/// Pausing: nothing is delivered, nothing is lost, and the end waits its turn.
@Suite struct PausingTests {
    /// A handler that pauses at `opened`, after the receive has started or before, and goes on at its deadline.
    @Test(arguments: [false, true]) func bytesAndTheEndAreHeld(whileReceiving: Bool) throws {
        let peer = Box<RawPeer>()
        let script = Script { event, connection in
            switch event {
            case .opened:
                if whileReceiving {
                    // The receive that follows this event is in flight when the job pauses.
                    connection.table.later {
                        connection.pauseReading()
                        peer.value?.send("held")
                        peer.value?.close()
                        connection.setDeadline(after: .milliseconds(5))
                    }
                } else {
                    connection.pauseReading()
                    peer.value?.send("held")
                    peer.value?.close()
                    connection.setDeadline(after: .milliseconds(5))
                }
            case .timedOut: connection.resumeReading()
            case .ended: return .close
            default: break
            }
            return .continue
        }
        let run = try ReactorRun()
        let server = try run.server { _ in Watch(script.handler) { run.reactor.stop() } }
        peer.value = try RawPeer(to: server.address)
        try run.run()
        #expect(script.seen == [.opened, .timedOut, .received("held"), .ended, .closed(.closed)])
    }

    // Only the end is held: it comes while a receive is in flight that nobody wants any more.
    @Test func theEndAloneIsHeld() throws {
        let peer = Box<RawPeer>()
        let script = Script { event, connection in
            switch event {
            case .opened:
                connection.table.later {
                    connection.pauseReading()
                    peer.value?.close()
                    connection.setDeadline(after: .milliseconds(5))
                }
            case .timedOut:
                connection.resumeReading()
                // Pausing again before the next turn holds it on.
                connection.pauseReading()
                connection.table.later { connection.resumeReading() }
            case .ended: return .close
            default: break
            }
            return .continue
        }
        let run = try ReactorRun()
        let server = try run.server { _ in Watch(script.handler) { run.reactor.stop() } }
        peer.value = try RawPeer(to: server.address)
        try run.run()
        #expect(script.seen == [.opened, .timedOut, .ended, .closed(.closed)])
    }

    @Test func aPausedConnectionCanClose() throws {
        let peer = Box<RawPeer>()
        let script = Script { event, connection in
            switch event {
            case .opened:
                connection.table.later {
                    connection.pauseReading()
                    peer.value?.send("never delivered")
                    peer.value?.close()
                    connection.setDeadline(after: .milliseconds(5))
                }
                return .continue
            case .timedOut:
                connection.send("bye")
                return .close
            default: return .continue
            }
        }
        let run = try ReactorRun()
        let server = try run.server { _ in Watch(script.handler) { run.reactor.stop() } }
        peer.value = try RawPeer(to: server.address)
        try run.run()
        #expect(script.seen.count == 3)
        #expect(script.seen.starts(with: [.opened, .timedOut]))
    }

    // A handler that pauses and resumes within one event, as a parser does that hands work on, starts the next receive
    // before its bytes are gone. The peer sends byte for byte, each when the one before has come.
    @Test func pausingAndResumingWithinAnEventLosesNothing() throws {
        let text = "The quick brown fox"
        let peer = Box<RawPeer>()
        var rest = Array(text.utf8)[...]
        let script = Script { event, connection in
            switch event {
            case .opened, .received:
                if case .received = event {
                    connection.pauseReading()
                    connection.resumeReading()
                }
                if let next = rest.popFirst() { peer.value?.send([next]) } else { peer.value?.close() }
                return .continue
            case .ended: return .close
            default: return .continue
            }
        }
        let run = try ReactorRun()
        let server = try run.server { _ in Watch(script.handler) { run.reactor.stop() } }
        peer.value = try RawPeer(to: server.address)
        try run.run()
        #expect(script.text == text)
    }

    // Backpressure: while paused, the peer's sends fill the kernel's buffers and no more than that.
    @Test func thePeerHasToWait() throws {
        var configuration = ServerConfiguration()
        configuration.socketOptions = [.receiveBuffer: 1 << 16]
        // Far more than both buffers hold, and no more than a slow machine moves in a moment.
        let length = 2 << 20
        let script = Script { event, connection in
            if case .opened = event { connection.pauseReading() }
            return Script.usual(event, connection)
        }
        let run = try ReactorRun()
        let server = try run.server(configuration) { _ in Watch(script.handler) { run.reactor.stop() } }
        let client = Script { event, connection in
            switch event {
            case .opened:
                connection.send(Bytes([UInt8](repeating: 1, count: length)))
                connection.setDeadline(after: .milliseconds(20))
                return .continue
            case .timedOut:
                #expect(connection.pendingBytes > 0)
                #expect(script.bytes.isEmpty)
                script.connection?.resumeReading()
                return .close
            default: return .continue
            }
        }
        run.reactor.connect(
            to: server.address, socketOptions: [.sendBuffer: 1 << 16], handler: client.handler)
        try run.run()
        #expect(script.bytes.count == length)
        #expect(client.reason == .deadline)
    }

    // What came before the pause took effect is had, though a send has failed since.
    @Test func whatIsHeldOutlivesAFailedSend() throws {
        let script = Script { event, connection in
            if case .opened = event { connection.pauseReading() }
            return Script.usual(event, connection)
        }
        let run = try ReactorRun()
        let server = try run.server { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        var step = 0
        try run.run {
            guard let connection = script.connection else { return false }
            switch step {
            case 0:
                connection.table.later {
                    connection.resumeReading()
                    connection.table.later { connection.pauseReading() }
                }
                step = 1
            case 1 where run.reactor.statistics.startedByKind[.receive] > 0:
                peer.send("held")
                step = 2
            case 2 where run.reactor.statistics.completedByKind[.cancel] > 0:
                peer.reset()
                connection.send("too late")
                step = 3
            case 3 where run.reactor.statistics.completedByKind[.send] > 0:
                connection.resumeReading()
                step = 4
            default: break
            }
            return script.reason != nil && server.connectionCount == 0
        }
        #expect(script.text == "held")
    }
}
