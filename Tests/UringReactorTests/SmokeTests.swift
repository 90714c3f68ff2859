import Testing
import UringReactor

struct Echo: ConnectionHandler {
    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .received(let bytes):
            connection.send(bytes)
            return .continue
        case .opened, .drained, .closed: return .continue
        case .ended, .timedOut: return .close
        }
    }
}

func echo(_ connection: Connection) {
    connection.receive { result in
        guard let bytes = try result.get() else { return connection.close() }
        connection.send(bytes) { _ in echo(connection) }
    }
}

@Suite struct SmokeTests {
    @Test(arguments: [false, true]) func echoes(callbacks: Bool) throws {
        let reactor = try Reactor()
        let server = callbacks
            ? try Server(on: .loopback(), reactor: reactor, onConnection: echo)
            : try Server(on: .loopback(), reactor: reactor) { _ in Echo() }
        var lines: [String] = []
        var reason: CloseReason?
        reactor.connect(to: server.address) { result in
            let connection = try result.get()
            connection.whenClosed { reason = $0; server.stop(); reactor.stop() }
            connection.send("hello\r\nworld\n") { _ in }
            connection.receiveLine { result in
                lines.append(String(try #require(try result.get())))
                connection.receiveLine { result in
                    lines.append(String(try #require(try result.get())))
                    connection.close()
                }
            }
        }
        reactor.after(.seconds(5)) { reactor.stop() }
        try reactor.run()
        #expect(lines == ["hello", "world"])
        #expect(reason == .closed)
        print(reactor.statistics)
    }
}
