@testable import PubSub
import UringReactor

/// A peer that writes down what the broker does with it, and can do something back.
struct RecordingPeer: Peer, CustomStringConvertible {
    final class Record {
        /// All that was accepted, piece by piece.
        var sent: [Bytes] = []
        /// What was sent as a reply.
        var replies: [Bytes] = []
        /// The number of pieces of each send, whatever became of it.
        var pieceCounts: [Int] = []
        /// What the next send is answered.
        var answer: () -> SendOutcome = { .queued }
        var isPaused = false
        var pauseCount = 0
        var resumeCount = 0
        /// Pauses while paused, resumes while not.
        var toldTwice = 0
        /// Called after each pause (true) and each resume (false).
        var onPause: ((Bool) -> Void)?
        var closeCount = 0
        var sentAfterClose = 0
        /// Called after each send was written down, with the number of sends so far, those of several pieces counted once.
        var onSend: ((Int) -> Void)?
    }

    let name: String
    let record = Record()

    /// All that was sent, in one.
    var received: String { String(Bytes(record.sent.flatMap { Array($0) })) }

    var isClosed: Bool { record.closeCount > 0 }

    func send(_ bytes: Bytes) -> SendOutcome { take([bytes]) }

    func send(_ pieces: [Bytes]) -> SendOutcome {
        precondition(pieces.count > 1, "one piece has a function of its own")
        return take(pieces)
    }

    func reply(_ bytes: Bytes) -> SendOutcome {
        record.replies.append(bytes)
        return take([bytes])
    }

    private func take(_ pieces: [Bytes]) -> SendOutcome {
        if isClosed { record.sentAfterClose += 1 }
        record.pieceCounts.append(pieces.count)
        let outcome = record.answer()
        if outcome == .queued || outcome == .backlogged { record.sent += pieces }
        record.onSend?(record.pieceCounts.count)
        return outcome
    }

    /// Answers the next sends with these, and those after them with `queued`.
    func answer(_ outcomes: SendOutcome...) {
        var rest = outcomes[...]
        record.answer = { rest.popFirst() ?? .queued }
    }

    func pauseReading() {
        if record.isPaused { record.toldTwice += 1 }
        record.isPaused = true
        record.pauseCount += 1
        record.onPause?(true)
    }

    func resumeReading() {
        if !record.isPaused { record.toldTwice += 1 }
        record.isPaused = false
        record.resumeCount += 1
        record.onPause?(false)
    }

    func close() { record.closeCount += 1 }

    var description: String { name }

    static func == (left: RecordingPeer, right: RecordingPeer) -> Bool { left.record === right.record }
    func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(record)) }
}

/// A connection without a network: a peer and its session.
final class Client {
    let peer: RecordingPeer
    private(set) var session: Session<RecordingPeer>

    init(_ name: String, on broker: Broker<RecordingPeer>) {
        peer = RecordingPeer(name: name)
        session = Session(on: broker)
    }

    func say(_ bytes: Bytes) { session.receive(bytes, from: peer) }
    func say(_ text: String) { say(Bytes(text)) }
    func drain() { session.drained(peer: peer) }
    func leave(_ departure: Departure = .endOfStream) { session.ended(departure, peer: peer) }

    var received: String { peer.received }
    var isClosed: Bool { peer.isClosed }
    /// What was sent after the `OK`.
    var messages: String {
        let ok = Array("OK\r\n".utf8)
        let all = Array(received.utf8)
        return String(Bytes(all.starts(with: ok) ? Array(all.dropFirst(ok.count)) : all))
    }
}

/// A broker, and what it reported.
final class Fixture {
    typealias Event = BrokerEvent<RecordingPeer>

    let broker: Broker<RecordingPeer>
    private(set) var events: [Event] = []
    /// Called after each event was written down.
    var onEvent: ((Event) -> Void)?

    init(
        limits: PubSubLimits = PubSubLimits(), onPublisherExit: PublisherExitPolicy = .keep, pausesPublishers: Bool = false
    ) {
        broker = Broker(configuration: BrokerConfiguration(
            limits: limits, onPublisherExit: onPublisherExit, pausesPublishers: pausesPublishers))
        broker.onEvent = { [unowned self] event in
            events.append(event)
            onEvent?(event)
        }
    }

    var statistics: BrokerStatistics { broker.statistics }

    func client(_ name: String) -> Client { Client(name, on: broker) }

    func subscriber(_ name: String = "subscriber", to channel: String = "ch") -> Client {
        let client = client(name)
        client.say("SUBSCRIBE \(channel)\r\n")
        return client
    }

    func publisher(_ name: String = "publisher", to channel: String = "ch") -> Client {
        let client = client(name)
        client.say("PUBLISH \(channel)\r\n")
        return client
    }
}

/// A name that is known to be good.
func channel(_ name: String) throws -> ChannelName { try ChannelName(name) }
