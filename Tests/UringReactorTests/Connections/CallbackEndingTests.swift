import SystemPackage
import Testing

@testable import UringReactor

/// How connections with callbacks end.
@Suite struct CallbackEndingTests {
    @Test func whoAsksWithinTheEndIsToldToo() throws {
        var told: [String] = []
        try withConnection { connection, _, _ in
            connection.receive { _ in
                connection.whenClosed { told.append("asked in a receive: \($0)") }
            }
            connection.whenClosed { _ in
                connection.whenClosed { told.append("asked in whenClosed: \($0)") }
            }
            connection.abort()
        }
        #expect(told == [
            "asked in a receive: aborted by this side", "asked in whenClosed: aborted by this side",
        ])
    }

    @Test func whoAsksAfterTheEndIsToldToo() throws {
        var told = false
        let run = try ReactorRun()
        let listener = try RawListener()
        run.reactor.connect(to: listener.address) { (result: Result<Connection, IOError>) in
            let connection = try result.get()
            connection.whenClosed { _ in
                run.reactor.after(.milliseconds(1)) {
                    connection.whenClosed { _ in
                        told = true
                        run.reactor.stop()
                    }
                }
            }
            connection.abort()
        }
        try run.run()
        #expect(told)
    }

    // Nobody receives, so nobody would see the peer's end: the send that fails must end the connection.
    @Test func aSendThatFailsEndsAConnectionThatNobodyReadsFrom() throws {
        let reason = try withConnection { connection, peer, reactor in
            peer.reset()
            func more() {
                guard connection.isOpen else { return }
                connection.send("into the void")
                reactor.after(.milliseconds(1), more)
            }
            more()
        }
        #expect(reason == .reset || reason == .brokenPipe)
    }

    @Test func whatAFailedSendAsksForIsStillRead() throws {
        var got: [String] = []
        let reason = try withConnection { connection, peer, reactor in
            peer.send("I am full, go away\n")
            peer.close()
            func more() {
                connection.send("data") { result in
                    if case .success = result { return reactor.after(.milliseconds(1), more).ignore() }
                    connection.receiveLine { result in
                        got.append(String(try #require(try result.get())))
                        connection.close()
                    }
                }
            }
            more()
        }
        #expect(got == ["I am full, go away"])
        #expect(reason == .brokenPipe || reason == .reset)
    }

    @Test(arguments: ["connect", "receive", "send", "whenClosed", "timeout"])
    func aCallbackThatThrowsEndsItsConnection(which: String) throws {
        let run = try ReactorRun()
        let listener = try RawListener()
        var reason: CloseReason?
        let peer = Box<RawPeer>()
        run.reactor.connect(to: listener.address) { (result: Result<Connection, IOError>) in
            let connection = try result.get()
            peer.value = listener.accept()
            peer.value?.send("x")
            connection.whenClosed {
                reason = $0
                run.reactor.stop()
                if which == "whenClosed" { throw Mishap() }
            }
            switch which {
            case "connect": throw Mishap()
            case "receive": connection.receive { _ in throw Mishap() }
            case "send": connection.send("y") { _ in throw Mishap() }
            case "timeout": connection.receive(exactly: 2, timeout: .milliseconds(1)) { _ in throw Mishap() }
            default: connection.abort()
            }
        }
        let statistics = try run.run()
        #expect(reason == (which == "whenClosed" ? .aborted : .handlerFailed))
        #expect(statistics.errorsThrown == 1)
        #expect(run.reported.count == 1)
    }
}
