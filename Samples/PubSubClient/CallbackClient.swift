import PubSub
import UringReactor

/// The clients as nested callbacks: what happens next is written where it happens.
enum CallbackStyle: ClientStyle {
    static let commandName = "callbacks"
    static let abstract = "The clients written with nested callbacks."

    static func publish(
        _ source: any MessageSource, to channel: ChannelName, at address: SocketAddress, on reactor: Reactor,
        onReady: @escaping () -> Void, onEnd: @escaping (ClientEnd) -> Void
    ) -> Connection {
        reactor.connect(to: address) { result in
            guard let publisher = attempt(result, onEnd) else { return }
            publisher.whenClosed { onEnd(.failed("\($0)")) }
            publisher.send(Command.publish(channel).line) { _ in }
            publisher.receiveLine { result in
                guard try isAccepted(result, publisher, onEnd) else { return }
                onReady()
                publishNext(from: source, on: publisher, onEnd)
                // The server has nothing more to say, but for an error and the end of our BYE.
                publisher.receiveLine { result in
                    publisher.close()
                    onEnd(farewell(result))
                }
            }
        }
    }

    /// Publishes the next messages when the ones before are on their way, so that no more than these wait here.
    private static func publishNext(
        from source: any MessageSource, on publisher: Connection, _ onEnd: @escaping (ClientEnd) -> Void
    ) {
        source.next { result in
            switch result {
            case .success(let messages?):
                publisher.send(messages) { result in
                    guard case .success = result else { return }
                    publishNext(from: source, on: publisher, onEnd)
                }
            case .success(nil): publisher.send(Command.bye.line)
            case .failure(let error):
                publisher.abort()
                onEnd(.failed("\(error)"))
            }
        }
    }

    static func subscribe(
        to channel: ChannelName, at address: SocketAddress, on reactor: Reactor,
        onReady: @escaping () -> Void, onMessage: @escaping (Bytes) throws -> Void, onEnd: @escaping (ClientEnd) -> Void
    ) -> Connection {
        reactor.connect(to: address) { result in
            guard let subscriber = attempt(result, onEnd) else { return }
            // Whatever ends it, an error thrown by `onMessage` too; who was told before is not told again.
            subscriber.whenClosed { onEnd(.failed("\($0)")) }
            subscriber.send(Command.subscribe(channel).line) { _ in }
            receiveMessages(SubscriptionReader(), on: subscriber, onReady, onMessage, onEnd)
        }
    }

    private static func receiveMessages(
        _ reader: SubscriptionReader, on subscriber: Connection, _ onReady: @escaping () -> Void,
        _ onMessage: @escaping (Bytes) throws -> Void, _ onEnd: @escaping (ClientEnd) -> Void
    ) {
        subscriber.receive { result in
            var reader = reader
            guard case .success(var bytes?) = result else {
                subscriber.close()
                return onEnd(ClientEnd(result, reader.end()))
            }
            while let event = try reader.next(from: &bytes) {
                switch event {
                case .accepted: onReady()
                case .message(let message): try onMessage(message)
                case .bye, .refused: break // The end of the stream follows; `reader` knows how it came to that.
                }
            }
            receiveMessages(reader, on: subscriber, onReady, onMessage, onEnd)
        }
    }

    // MARK: - Endings

    /// The connection, or the end.
    private static func attempt(
        _ result: Result<Connection, IOError>, _ onEnd: (ClientEnd) -> Void
    ) -> Connection? {
        switch result {
        case .success(let connection): return connection
        case .failure(let error):
            onEnd(.failed("\(error)"))
            return nil
        }
    }

    /// Whether the answer to a command is `OK`; otherwise this was the end.
    private static func isAccepted(
        _ result: Result<Bytes?, IOError>, _ connection: Connection, _ onEnd: (ClientEnd) -> Void
    ) throws -> Bool {
        if case .success("OK") = result { return true }
        connection.close()
        let end = farewell(result)
        onEnd(end == .finished ? .failed("the server ended before it answered") : end)
        return false
    }

    /// What the last line from the server says: an error, or nothing, as it should be.
    private static func farewell(_ result: Result<Bytes?, IOError>) -> ClientEnd {
        switch result {
        case .success(nil): return .finished
        case .success(let line?):
            if case .error(let reason)? = Reply(Line(line)) { return .refused(reason) }
            return .failed("an answer nobody asked for: \(line)")
        case .failure(let error): return .failed("\(error)")
        }
    }
}

extension ClientEnd {
    /// The end of a subscriber that received nothing more.
    init(_ result: Result<Bytes?, IOError>, _ ending: SubscriptionReader.Ending) {
        if case .failure(let error) = result {
            self = .failed("\(error)")
        } else {
            self.init(ending)
        }
    }

    /// The end of a subscription whose stream has ended.
    init(_ ending: SubscriptionReader.Ending) {
        switch ending {
        case .bye, .closed: self = .finished
        case .refused(let reason), .error(let reason): self = .refused(reason)
        case .cut(let count): self = .failed("the server ended within a message, of which \(count) bytes had come")
        case .unanswered: self = .failed("the server ended before it answered")
        }
    }
}
