import PubSub
import UringReactor

/// The broker and its sessions, without a socket: a publisher's bytes in, each subscriber's bytes out.
enum BrokerTasks {
    private static let deliveries = 1_000_000

    static func group() -> TaskGroup {
        TaskGroup(
            title: "Broker, 128 B, for each delivery (×: 10 subscribers, one message at a time)",
            tasks: [(10, 1), (10, 8), (100, 1), (100, 8), (1000, 1), (1000, 8)].map { subscribers, batch in
                let fanOut = FanOut(subscribers: subscribers, batch: batch)
                let publishes = deliveries / subscribers / batch
                return MeasuredTask(
                    name: "broker: \(subscribers) subscribers, \(batch) at a time",
                    count: publishes * subscribers * batch
                ) {
                    for _ in 0..<publishes { fanOut.publish() }
                }
            })
    }

    /// A channel with a publisher and its subscribers.
    private final class FanOut {
        private let broker = Broker<Ear>(configuration: BrokerConfiguration())
        private var publisher: Session<Ear>
        private var sessions: [Session<Ear>] = []
        private let ears: [Ear]
        private let voice = Ear()
        private let messages: Bytes

        init(subscribers: Int, batch: Int) {
            ears = (0..<subscribers).map { _ in Ear() }
            publisher = Session(on: broker)
            messages = Bytes(String(repeating: String(repeating: "x", count: 127) + "\n", count: batch))
            publisher.receive("PUBLISH news\n", from: voice)
            for ear in ears {
                var session = Session(on: broker)
                session.receive("SUBSCRIBE news\n", from: ear)
                sessions.append(session)
            }
        }

        func publish() {
            let before = ears[0].received
            publisher.receive(messages, from: voice)
            precondition(ears[0].received == before + messages.count)
        }
    }

    /// A peer that counts.
    private final class Ear: Peer {
        private(set) var received = 0

        func send(_ bytes: Bytes) -> SendOutcome {
            received += bytes.count
            return .queued
        }

        func send(_ pieces: [Bytes]) -> SendOutcome {
            for piece in pieces { received += piece.count }
            return .queued
        }

        func pauseReading() {}
        func resumeReading() {}
        func close() {}
        static func == (one: Ear, other: Ear) -> Bool { one === other }
        func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
    }
}
