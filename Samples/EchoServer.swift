import ArgumentParser
import UringReactor

/// The smallest honest server, in each style. What benchmarks talk to.
struct EchoServer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo-server",
        abstract: "Sends back what it receives.",
        discussion: "Try it: samples echo-server --port 7007, then nc 127.0.0.1 7007."
    )

    enum Style: String, ExpressibleByArgument, CaseIterable {
        case callbacks
        case stateMachine = "state-machine"
    }

    @Option(help: "How the server is written.")
    var style = Style.stateMachine

    @OptionGroup var listen: ListenOptions

    func run() throws {
        let configuration = listen.serverConfiguration(refusal: nil)
        let (address, reactor) = (try listen.address(), try listen.makeReactor())
        let server =
            switch style {
            case .callbacks:
                try Server(on: address, configuration: configuration, reactor: reactor, onConnection: echo)
            case .stateMachine:
                try Server(on: address, configuration: configuration, reactor: reactor) { _ in Echo() }
            }
        try listen.serve(server)
    }
}

/// Callbacks: receive, send, and again. The next receive waits for the send, so a peer that does not read is not read from.
func echo(_ connection: Connection) {
    connection.receive { result in
        guard let bytes = try result.get() else { return connection.close() }
        connection.send(bytes) { result in
            _ = try result.get()
            echo(connection)
        }
    }
}

/// An explicit state machine. Its one state is whether it waits for its peer to read.
struct Echo: ConnectionHandler {
    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .received(let bytes):
            if connection.send(bytes) == .backlogged { connection.pauseReading() }
            return .continue
        case .drained:
            connection.resumeReading()
            return .continue
        case .opened, .closed: return .continue
        case .ended, .timedOut: return .close
        }
    }
}
