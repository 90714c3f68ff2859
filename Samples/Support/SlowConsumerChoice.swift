import ArgumentParser
import PubSub
import UringReactor

/// What a server does about a subscriber for which more waits than may wait.
enum SlowConsumerChoice: String, CaseIterable, ExpressibleByArgument {
    /// It is told `ERROR slow consumer` and closed.
    case disconnect
    /// It misses what comes while it is behind.
    case dropNewest = "drop-newest"
    /// It misses what has waited longest.
    case dropOldest = "drop-oldest"
    /// The publishers of its channel wait for it. Whom that does not help is closed.
    case pausePublisher = "pause-publisher"

    private static let farewell = Reply.error(reason: "slow consumer").line

    /// Sets what the choice means for the connections of a server and for its broker.
    ///
    /// Call it when `connection.maximumPendingBytes` is set. To pause publishers, the watermarks are brought below that:
    /// what a publisher had sent before it was paused must find room above them.
    ///
    /// - Parameters:
    ///   - connection: Gets what happens at the limit.
    ///   - broker: Gets whether publishers are paused before it.
    func apply(to connection: inout ConnectionOptions, _ broker: inout BrokerConfiguration) {
        connection.slowConsumer =
            switch self {
            case .disconnect, .pausePublisher: .disconnect(farewell: SlowConsumerChoice.farewell)
            case .dropNewest: .dropNewest
            case .dropOldest: .dropOldest
            }
        broker.pausesPublishers = self == .pausePublisher
        guard broker.pausesPublishers else { return }
        connection.highWatermark = min(connection.highWatermark, connection.maximumPendingBytes / 4)
        connection.lowWatermark = min(connection.lowWatermark, connection.highWatermark / 4)
    }
}
