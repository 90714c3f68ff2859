import PubSub
import UringReactor

/// A pub/sub server that does one thing wrong.
final class FaultyServer {
    enum Fault: CaseIterable {
        case none
        /// One message is not delivered, delivered twice, or delivered after the next one.
        case drop, double, swap
        /// A byte of one message's payload, or of its head, is changed.
        case changePayload, changeHead
        /// A line that no message is comes between two.
        case interject
        /// It says nothing, or an error, instead of `OK`.
        case silence, refusal
        /// It closes the connection instead of answering.
        case hangUp
        /// It ends all connections, or delivers nothing any more, from one message on.
        case vanish, stall
        /// It does not answer `BYE`.
        case staysOpen
        /// It tells a subscriber an error, and ends its connection.
        case dismissal
        /// It reads nothing for a second.
        case standstill
    }

    let fault: Fault
    private var subscribers: [ChannelName: [Connection]] = [:]
    private var everyone: [Connection] = []
    private var published: [ChannelName: Int] = [:]
    private var held: Bytes?

    /// The number of the message with which it is.
    static let place = 5

    init(_ fault: Fault) { self.fault = fault }

    /// What a connection to it is.
    func makeHandler() -> some ConnectionHandler { Handler(server: self) }

    private struct Handler: ConnectionHandler {
        let server: FaultyServer
        private var lines = LineReader(limit: 1 << 24)
        private var channel: ChannelName?
        private var isPublisher = false

        init(server: FaultyServer) { self.server = server }

        mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
            switch event {
            case .opened: server.everyone.append(connection)
            case .received(var bytes):
                while let line = try lines.next(from: &bytes) { take(line, connection) }
            case .ended: return .close
            case .closed:
                if let channel { server.subscribers[channel]?.removeAll { $0 == connection } }
            case .drained, .timedOut: break
            }
            return .continue
        }

        private mutating func take(_ line: Line, _ connection: Connection) {
            if line.isBye {
                if let channel { server.subscribers[channel]?.removeAll { $0 == connection } }
                if server.fault != .staysOpen { connection.close() }
            } else if let channel, isPublisher {
                server.publish(line.bytes, to: channel)
                if server.fault == .standstill, server.published[channel] == FaultyServer.place {
                    connection.pauseReading()
                    Reactor.current?.after(.seconds(1)) { connection.resumeReading() }
                }
            } else if let command = try? Command(line) {
                obey(command, connection)
            }
        }

        private mutating func obey(_ command: Command, _ connection: Connection) {
            switch server.fault {
            case .silence: return
            case .hangUp: return connection.close()
            case .refusal:
                connection.send(Reply.error(reason: "not today").line)
                return connection.close()
            default: connection.send(Reply.ok.line)
            }
            switch command {
            case .publish(let name): (channel, isPublisher) = (name, true)
            case .subscribe(let name):
                channel = name
                server.subscribers[name, default: []].append(connection)
            case .bye: break
            }
        }
    }

    private func publish(_ message: Bytes, to channel: ChannelName) {
        let number = published[channel, default: 0]
        published[channel] = number + 1
        let isPlace = number == FaultyServer.place
        switch fault {
        case .stall where number >= FaultyServer.place, .drop where isPlace: break
        case .vanish where isPlace:
            for connection in everyone { connection.abort() }
        case .double where isPlace:
            deliver(message, to: channel)
            deliver(message, to: channel)
        case .swap where isPlace: held = message
        case .changePayload where isPlace: deliver(changed(message, at: message.count - 2), to: channel)
        case .changeHead where isPlace: deliver(changed(message, at: 3), to: channel)
        case .interject where isPlace:
            deliver("something\n", to: channel)
            deliver(message, to: channel)
        case .dismissal where isPlace:
            let subscriber = subscribers[channel]?.removeLast()
            subscriber?.send("ERROR slow consumer\r\n")
            subscriber?.close()
            deliver(message, to: channel)
        default:
            deliver(message, to: channel)
            if let held { deliver(held, to: channel) }
            held = nil
        }
    }

    private func changed(_ message: Bytes, at place: Int) -> Bytes {
        var bytes = Array(message)
        bytes[place] ^= 1
        return Bytes(bytes)
    }

    private func deliver(_ message: Bytes, to channel: ChannelName) {
        for subscriber in subscribers[channel] ?? [] { subscriber.send(message) }
    }
}
