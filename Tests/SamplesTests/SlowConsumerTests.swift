import PubSub
import Testing
import UringReactor

@testable import samples

/// What the pub/sub server does about slow subscribers.
@Suite struct SlowConsumerTests {
    @Test func choicesAreSpelledAsInTheHelp() {
        let names = ["disconnect", "drop-newest", "drop-oldest", "pause-publisher"]
        #expect(SlowConsumerChoice.allCases.map(\.rawValue) == names)
        #expect(SlowConsumerChoice(argument: "dropNewest") == nil)
    }

    @Test(arguments: SlowConsumerChoice.allCases)
    func onlyPausingNeedsTheBroker(choice: SlowConsumerChoice) {
        var connection = ConnectionOptions()
        connection.maximumPendingBytes = 4000
        var broker = BrokerConfiguration()
        choice.apply(to: &connection, &broker)
        #expect(broker.pausesPublishers == (choice == .pausePublisher))
        guard choice == .pausePublisher else { return }
        #expect(connection.highWatermark == 1000 && connection.lowWatermark == 250)
        #expect(connection.maximumPendingBytes == 4000)
    }

    /// With the high watermark at 0, whatever is sent puts behind.
    @Test func aPausedPublisherIsNotIdle() throws {
        let reactor = try Reactor()
        let server = try Server(on: .loopback(), reactor: reactor) { _ in Ignorer() }
        let broker = Broker<ConnectionPeer>(configuration: BrokerConfiguration(pausesPublishers: true))
        var options = ConnectionOptions()
        options.highWatermark = 0
        var steps: [NextStep] = []
        let probe = Probe { connection in
            var publisher = PubSubHandler(session: Session(on: broker))
            var subscriber = PubSubHandler(session: Session(on: broker))
            steps.append(try subscriber.handle(.received("SUBSCRIBE ch\n"), on: connection))
            steps.append(try publisher.handle(.received("PUBLISH ch\nmessage\n"), on: connection))
            #expect(publisher.session.isPaused)
            steps.append(try publisher.handle(.timedOut, on: connection))
            steps.append(try subscriber.handle(.drained, on: connection))
            #expect(!publisher.session.isPaused && !publisher.session.isEnded)
            steps.append(try publisher.handle(.timedOut, on: connection))
            #expect(publisher.session.isEnded)
            reactor.stop()
        }
        reactor.after(.zero) { reactor.connect(to: server.address, options: options, handler: probe) }
        reactor.after(.seconds(60)) { reactor.stop() }
        try reactor.run()
        #expect(steps == [.continue, .continue, .continue, .continue, .close])
    }

    /// Over the real kernel: the subscriber reads nothing until the publisher has been paused, and then gets everything.
    @Test func aPausedPublisherLosesNothing() throws {
        let reactor = try Reactor()
        var configuration = ServerConfiguration()
        configuration.connection.maximumPendingBytes = 8 << 20
        var broker = BrokerConfiguration()
        SlowConsumerChoice.pausePublisher.apply(to: &configuration.connection, &broker)
        let played = Played()
        let service = try PubSubService(on: .loopback(), configuration: configuration, broker: broker, reactor: reactor) {
            if case .publishersPaused = $0 { played.subscriber?.resumeReading() }
        }
        let address = service.server.address
        played.whenSubscribed = { reactor.connect(to: address, handler: Flood()) }
        played.whenOver = { reactor.stop() }
        reactor.after(.zero) { reactor.connect(to: address, handler: LateReader(played: played)) }
        reactor.after(.seconds(60)) { reactor.stop() }
        try reactor.run()
        #expect(played.count == Flood.total)
        let statistics = service.broker.statistics
        #expect(statistics.publisherPauses > 0 && statistics.messagesDropped == 0 && statistics.errors == 0)
        #expect(statistics.deliveries == UInt64(Flood.messages))
        #expect(reactor.statistics.slowConsumers == 0)
    }
}

/// A server's side that only listens.
private struct Ignorer: ConnectionHandler {
    func handle(_ event: ConnectionEvent, on connection: Connection) -> NextStep { .continue }
}

/// Does one thing when it is connected.
private struct Probe: ConnectionHandler {
    let body: (Connection) throws -> Void

    func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        if case .opened = event { try body(connection) }
        return .continue
    }
}

private final class Played {
    var subscriber: Connection?
    /// The bytes of messages that the subscriber got.
    var count = 0
    var whenSubscribed: () -> Void = {}
    var whenOver: () -> Void = {}
}

/// Subscribes, and then does not read until somebody makes it.
private struct LateReader: ConnectionHandler {
    let played: Played

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .opened:
            connection.send(Command.subscribe(try ChannelName("ch")).line)
        case .received(let bytes):
            if played.subscriber == nil {
                played.subscriber = connection
                connection.pauseReading()
                played.whenSubscribed()
            } else {
                played.count += bytes.count
                if played.count >= Flood.total { played.whenOver() }
            }
        case .ended, .closed:
            played.whenOver()
        case .drained, .timedOut: break
        }
        return .continue
    }
}

/// Publishes more than all buffers on the way can take.
private struct Flood: ConnectionHandler {
    static let messages = 1024
    static let message = Bytes([UInt8](repeating: 0x61, count: (64 << 10) - 1) + [0x0a])
    static let total = messages * message.count

    private var left = messages

    mutating func handle(_ event: ConnectionEvent, on connection: Connection) throws -> NextStep {
        switch event {
        case .opened:
            connection.send(Command.publish(try ChannelName("ch")).line)
            publish(on: connection)
        case .drained:
            publish(on: connection)
        case .received, .ended, .timedOut, .closed: break
        }
        return .continue
    }

    private mutating func publish(on connection: Connection) {
        while left > 0 {
            left -= 1
            if connection.send(Flood.message) == .backlogged { return }
        }
    }
}
