import UringReactor

/// A connection to an echo server as a state machine.
private struct EchoMachine: ConnectionHandler {
    private struct Link: EchoLink {
        let connection: Connection
        func send(_ bytes: Bytes) -> Bool { connection.send(bytes) == .queued }
        func close() { connection.close() }
    }

    let client: EchoLoadClient
    let run: EchoRun

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .opened: run.opened(client, Link(connection: connection))
        case .received(let bytes): run.received(bytes, by: client)
        case .drained: run.drained(client)
        case .ended:
            client.sawEnd = true
            return .close
        case .timedOut: break
        case .closed(let reason): run.closed(client, reason)
        }
        return .continue
    }
}

/// The same with callbacks.
private final class CallbackEcho: EchoLink {
    private let connection: Connection
    private let client: EchoLoadClient
    private let run: EchoRun
    /// Bytes that the kernel has not taken yet.
    private var unsent = 0
    private var isFull = false

    private init(_ connection: Connection, _ client: EchoLoadClient, _ run: EchoRun) {
        self.connection = connection
        self.client = client
        self.run = run
    }

    static func connect(_ client: EchoLoadClient, in run: EchoRun) {
        run.reactor.connect(
            to: run.address, timeout: run.connectTimeout, options: run.options, socketOptions: run.socketOptions
        ) { result in
            guard case .success(let connection) = result else {
                if case .failure(let error) = result { run.closed(client, .connectFailed(error)) }
                return
            }
            connection.whenClosed { run.closed(client, $0) }
            let link = CallbackEcho(connection, client, run)
            link.receive()
            run.opened(client, link)
        }
    }

    private func receive() {
        connection.receive { [self] result in
            guard case .success(let bytes?) = result else {
                if case .success(nil) = result { client.sawEnd = true }
                return connection.close()
            }
            run.received(bytes, by: client)
            receive()
        }
    }

    func send(_ bytes: Bytes) -> Bool {
        unsent += bytes.count
        if unsent > run.options.highWatermark { isFull = true }
        connection.send(bytes) { [self] result in
            unsent -= bytes.count
            guard case .success = result, isFull, unsent <= run.options.lowWatermark else { return }
            isFull = false
            run.drained(client)
        }
        return !isFull
    }

    func close() { connection.close() }
}

extension LoadStyle {
    /// Connects to an echo server, in this style.
    func connect(_ client: EchoLoadClient, in run: EchoRun) {
        switch self {
        case .stateMachine:
            run.reactor.connect(
                to: run.address, timeout: run.connectTimeout, options: run.options, socketOptions: run.socketOptions,
                handler: EchoMachine(client: client, run: run))
        case .callbacks: CallbackEcho.connect(client, in: run)
        }
    }
}
