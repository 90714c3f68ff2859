import ArgumentParser
import Logging
import PubSub
import UringReactor

/// The pub/sub server: a broker, and a session for each connection.
struct PubSubServer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pubsub-server",
        abstract: "A publish/subscribe server with a line protocol.",
        discussion: """
            PUBLISH <channel> or SUBSCRIBE <channel>, answered by OK; then each line a publisher sends goes to all \
            subscribers of its channel. BYE ends either. Try it with nc, or with samples pubsub-client.
            """
    )

    @OptionGroup var listen: ListenOptions

    @Option(help: "What subscribers get when the last publisher of their channel leaves: keep, or bye and the end.")
    var onPublisherExit = PublisherExitPolicy.keep

    @Option(help: ArgumentHelp("The longest message.", valueName: "bytes"))
    var maxMessage = PubSubLimits().message

    @Option(help: "The most channels at once; 0 for as many as there are connections.")
    var maxChannels = 0

    @Option(
        help: ArgumentHelp(
            "The most that may wait for one subscriber; --slow-consumer says what happens then.", valueName: "bytes"))
    var maxPending = ConnectionOptions().maximumPendingBytes

    @Option(
        help: ArgumentHelp(
            """
            For a subscriber that does not keep up: disconnect, with an ERROR; drop-newest or drop-oldest, so that it \
            misses whole messages; or pause-publisher: nothing is read from the publishers of its channel until it has \
            caught up, so that they go no faster than their slowest subscriber. One that takes nothing at all is closed \
            after --write-timeout.
            """, valueName: "policy"))
    var slowConsumer = SlowConsumerChoice.disconnect

    @OptionGroup var log: LogOptions

    func validate() throws {
        guard maxMessage > 0, maxChannels >= 0, maxPending > 0 else { throw ValidationError("a limit must be at least 1") }
    }

    func run() throws {
        var broker = BrokerConfiguration(onPublisherExit: onPublisherExit)
        broker.limits.message = maxMessage
        broker.limits.channels = maxChannels > 0 ? maxChannels : nil
        var configuration = listen.serverConfiguration(refusal: PubSubService.refusal)
        configuration.connection.maximumPendingBytes = maxPending
        slowConsumer.apply(to: &configuration.connection, &broker)
        let logger = log.makeLogger("pubsub-server")
        let service = try PubSubService(
            on: listen.address(), configuration: configuration, broker: broker, reactor: listen.makeReactor()
        ) { logger.log(level: $0.level, "\($0)") }
        try listen.serve(service.server)
        printLine(service.summary)
    }
}

/// A server whose connections are sessions of one broker.
struct PubSubService {
    let server: Server
    let broker: Broker<ConnectionPeer>

    /// What a connection is told that is one too many.
    static let refusal = Reply.error(reason: "too many connections").line

    init(
        on address: SocketAddress, configuration: ServerConfiguration, broker brokerConfiguration: BrokerConfiguration,
        reactor: Reactor, onEvent: @escaping (BrokerEvent<ConnectionPeer>) -> Void
    ) throws {
        let broker = Broker<ConnectionPeer>(configuration: brokerConfiguration, onEvent: onEvent)
        self.broker = broker
        server = try Server(on: address, configuration: configuration, reactor: reactor) { _ in
            PubSubHandler(session: Session(on: broker))
        }
    }

    var summary: String {
        let counts = broker.statistics
        return """
            pub/sub      \(counts.messagesPublished) messages, \(counts.deliveries) deliveries, \
            \(counts.messagesDropped) dropped, \(counts.errors) errors, \(counts.fragmentsDropped) cut off, \
            \(server.refusedConnections) connections refused, publishers paused \(counts.publisherPauses) times
            """
    }
}

/// Feeds a session with what its connection brings.
struct PubSubHandler: ConnectionHandler {
    var session: Session<ConnectionPeer>

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        let peer = ConnectionPeer(connection: connection)
        switch event {
        case .opened: break
        case .drained: session.drained(peer: peer)
        case .received(let bytes): session.receive(bytes, from: peer)
        case .ended:
            session.ended(.endOfStream, peer: peer)
            return .close
        case .timedOut:
            // Nothing is read from a publisher that is made to wait, so nothing comes.
            guard !session.isPaused else { return .continue }
            session.ended(.failed("idle for too long"), peer: peer)
            return .close
        case .closed(let reason): session.ended(.failed("\(reason)"), peer: peer)
        }
        return .continue
    }
}

/// What a connection is to the broker.
struct ConnectionPeer: Peer, CustomStringConvertible {
    let connection: Connection

    func send(_ bytes: Bytes) -> SendOutcome { connection.send(bytes) }
    func send(_ pieces: [Bytes]) -> SendOutcome { connection.send(pieces) }
    func reply(_ bytes: Bytes) -> SendOutcome { connection.send(bytes, mayBeDropped: false) }
    func pauseReading() { connection.pauseReading() }
    func resumeReading() { connection.resumeReading() }
    func close() { connection.close() }
    var description: String { connection.description }
}

extension BrokerEvent {
    /// Coming and going is what an operator wants to see; what broke, more so.
    fileprivate var level: Logger.Level {
        switch self {
        case .left(_, _, .refused), .left(_, _, .failed), .fragmentDropped: .notice
        case .joined, .left: .info
        // As often as buffers fill and drain.
        case .publishersPaused, .publishersResumed: .debug
        }
    }
}

extension PublisherExitPolicy: ExpressibleByArgument {}
