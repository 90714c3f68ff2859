import Testing

@testable import UringReactor

/// Handles of connections, and what is kept alive for them.
@Suite struct HandleTests {
    @Test func aStaleHandleIsHarmless() throws {
        let run = try ReactorRun()
        let listener = try RawListener()
        var old: Connection?
        var checked = false
        let first = Script { event, connection in
            old = connection
            return .abort
        }
        let second = Script { event, connection in
            guard case .opened = event, let old else { return .continue }
            // The same slot, in its next life.
            #expect(old.slot == connection.slot)
            #expect(old != connection)
            old.close()
            old.abort()
            old.pauseReading()
            old.shutdownSending()
            old.setDeadline(after: .zero)
            #expect(old.send("x") == .refused)
            #expect(!old.isOpen && connection.isOpen)
            #expect(old.remoteAddress == nil && old.localAddress == nil)
            #expect(connection.remoteAddress == listener.address)
            checked = true
            return .abort
        }
        run.reactor.connect(to: listener.address, handler: first.handler)
        func next() {
            guard first.reason != nil, run.reactor.connections.count == 0 else {
                return run.reactor.after(.zero, next).ignore()
            }
            run.reactor.connect(to: listener.address, handler: second.handler)
        }
        next()
        try run.run(stoppedBy: { second.reason != nil })
        #expect(checked)
        #expect(second.seen == [.opened, .closed(.aborted)])
    }

    @Test func aHandleWithoutItsReactorTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let reactor = try Reactor()
            let connection = reactor.connect(to: .loopback(port: 9), handler: Script().handler)
            connection.close()
        }
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(message.contains("A Connection was used outside of its reactor"))
    }

    private final class Token {
        let gone: () -> Void
        init(gone: @escaping () -> Void) { self.gone = gone }
        deinit { gone() }
    }

    private struct Holder: ConnectionHandler {
        let token: Token
        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            if case .received = event { return .close }
            return Script.usual(event, connection)
        }
    }

    @Test func handlersAndCallbacksAreReleasedWithTheirConnections() throws {
        var made = 0
        var gone = 0
        func token() -> Token {
            made += 1
            return Token { gone += 1 }
        }
        let run = try ReactorRun()
        let server = try run.server { _ in Holder(token: token()) }
        for round in 0..<20 {
            run.reactor.connect(to: server.address, handler: Holder(token: token()))
            let held = token()
            run.reactor.connect(to: server.address) { (result: Result<Connection, IOError>) in
                let connection = try result.get()
                connection.whenClosed { _ in withExtendedLifetime(held) {} }
                connection.receive { _ in withExtendedLifetime(held) {} }
                connection.send("x") { _ in
                    withExtendedLifetime(held) {}
                    if round == 0 { connection.abort() } else { connection.close() }
                }
            }
        }
        // Half of the clients never say anything: they end with the server.
        try run.run(stoppedBy: {
            guard made == 80, gone >= 40 else { return false }
            server.stop()
            return server.connectionCount == 0 && run.reactor.connections.count == 0
        })
        #expect(made == 80)
        #expect(gone == 80)
    }

    @Test func noDescriptorIsLeft() async {
        await #expect(processExitsWith: .success) {
            // Once before, so that what is made for good is there.
            var before = 0
            for round in 0..<3 {
                if round == 1 { before = Descriptors.count }
                do {
                    let run = try ReactorRun()
                    let server = try run.server { _ in Script().handler }
                    let scripts = (0..<30).map { number in
                        Script { event, connection in
                            guard case .opened = event else { return Script.usual(event, connection) }
                            connection.send("x")
                            return number % 3 == 0 ? .close : number % 3 == 1 ? .abort : .continue
                        }
                    }
                    for script in scripts { run.reactor.connect(to: server.address, handler: script.handler) }
                    run.reactor.connect(to: .loopback(port: 1), handler: Script().handler)
                    try run.run(stoppedBy: { scripts.count { $0.reason != nil } >= 20 })
                }
            }
            // Sixty connections a round; whoever runs the test may open a few descriptors of its own meanwhile.
            try #require(Descriptors.count < before + 25)
        }
    }
}
