import PubSub
import UringReactor

/// The clients as explicit state machines: what can happen is written down in one place, and what happens is data.
enum StateMachineStyle: ClientStyle {
    static let commandName = "state-machine"
    static let abstract = "The clients written as explicit state machines."

    static func publish(
        _ source: any MessageSource, to channel: ChannelName, at address: SocketAddress, on reactor: Reactor,
        onReady: @escaping () -> Void, onEnd: @escaping (ClientEnd) -> Void
    ) -> Connection {
        reactor.connect(
            to: address, handler: Publisher(channel: channel, source: source, onReady: onReady, onEnd: onEnd))
    }

    static func subscribe(
        to channel: ChannelName, at address: SocketAddress, on reactor: Reactor,
        onReady: @escaping () -> Void, onMessage: @escaping (Bytes) throws -> Void, onEnd: @escaping (ClientEnd) -> Void
    ) -> Connection {
        reactor.connect(
            to: address, handler: Subscriber(channel: channel, onReady: onReady, onMessage: onMessage, onEnd: onEnd))
    }
}

/// `PUBLISH`, `OK`, messages, `BYE`.
private struct Publisher: ConnectionHandler {
    private enum State {
        /// The command is on its way, or will be when the connection is open.
        case asking
        case publishing
        /// The server has refused, or we have failed; only the end is awaited.
        case over(ClientEnd)
    }

    let channel: ChannelName
    let source: any MessageSource
    let onReady: () -> Void
    let onEnd: (ClientEnd) -> Void
    private var state = State.asking
    private var lines = LineReader(limit: 1024)

    init(
        channel: ChannelName, source: any MessageSource, onReady: @escaping () -> Void,
        onEnd: @escaping (ClientEnd) -> Void
    ) {
        self.channel = channel
        self.source = source
        self.onReady = onReady
        self.onEnd = onEnd
    }

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch (state, event) {
        case (_, .opened):
            connection.send(Command.publish(channel).line)
        case (_, .received(var bytes)):
            while let line = try lines.next(from: &bytes) { answered(Reply(line), connection) }
        case (.publishing, .drained):
            Publisher.publish(from: source, on: connection, onEnd)
        case (.publishing, .ended):
            // The server's answer to our BYE.
            state = .over(.finished)
            return .close
        case (.asking, .ended):
            state = .over(.failed("the server ended before it answered"))
            return .close
        case (.over, .ended):
            return .close
        case (.over(let end), .closed):
            onEnd(end)
        case (_, .closed(let reason)):
            onEnd(.failed("\(reason)"))
        case (_, .drained), (_, .timedOut):
            break
        }
        return .continue
    }

    private mutating func answered(_ reply: Reply?, _ connection: Connection) {
        switch (state, reply) {
        case (.asking, .ok?):
            state = .publishing
            onReady()
            Publisher.publish(from: source, on: connection, onEnd)
        case (_, .error(let reason)?):
            state = .over(.refused(reason))
        case (.over, _): break
        case (_, _):
            state = .over(.failed("an answer nobody asked for"))
            connection.close()
        }
    }

    /// Publishes until too much waits to be sent; `drained` is when to go on.
    private static func publish(
        from source: any MessageSource, on connection: Connection, _ onEnd: @escaping (ClientEnd) -> Void
    ) {
        source.next { result in
            switch result {
            case .success(let messages?):
                if connection.send(messages) == .queued { publish(from: source, on: connection, onEnd) }
            case .success(nil): connection.send(Command.bye.line)
            case .failure(let error):
                connection.abort()
                onEnd(.failed("\(error)"))
            }
        }
    }
}

/// `SUBSCRIBE`, `OK`, messages, the end.
private struct Subscriber: ConnectionHandler {
    let channel: ChannelName
    let onReady: () -> Void
    let onMessage: (Bytes) throws -> Void
    let onEnd: (ClientEnd) -> Void
    private var reader = SubscriptionReader()
    private var hasEnded = false

    init(
        channel: ChannelName, onReady: @escaping () -> Void, onMessage: @escaping (Bytes) throws -> Void,
        onEnd: @escaping (ClientEnd) -> Void
    ) {
        self.channel = channel
        self.onReady = onReady
        self.onMessage = onMessage
        self.onEnd = onEnd
    }

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .opened:
            connection.send(Command.subscribe(channel).line)
        case .received(var bytes):
            while let event = try reader.next(from: &bytes) {
                switch event {
                case .accepted: onReady()
                case .message(let message): try onMessage(message)
                case .bye, .refused: break // The end of the stream follows; the reader knows how it came to that.
                }
            }
        case .ended:
            hasEnded = true
            return .close
        case .closed(let reason):
            onEnd(hasEnded ? ClientEnd(reader.end()) : .failed("\(reason)"))
        case .timedOut:
            return .abort
        case .drained: break
        }
        return .continue
    }
}
