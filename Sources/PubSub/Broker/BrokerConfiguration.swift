/// How much one peer may ask for.
public struct PubSubLimits: Sendable, Hashable {
    /// The longest message in bytes, its line ending (LF or CRLF) not counted.
    public var message: Int
    /// The longest command in bytes, its line ending not counted. Less than ``Command/longest`` forbids long names.
    public var commandLine: Int
    /// The most channels at a time; nil for no limit. A channel exists only as long as a connection is on it, so the
    /// limit of connections bounds them too.
    public var channels: Int?
    /// The most subscribers of one channel; nil for no limit but that of connections.
    public var subscribersPerChannel: Int?
    /// The most receive segments that unfinished messages may keep alive, of all sessions together.
    ///
    /// A message that spans segments is passed on without a copy by holding its segments until it is complete. Held
    /// segments are missing where they came from: keep this well below the number of receive buffers, so that publishers
    /// that stop in the middle of a line cannot starve all others. What comes beyond is copied; 0 copies always.
    public var heldSegments: Int

    /// Limits in bytes and in numbers of things, none of them negative.
    public init(
        message: Int = 4 * 1024 * 1024,
        commandLine: Int = Command.longest,
        channels: Int? = nil,
        subscribersPerChannel: Int? = nil,
        heldSegments: Int = 64
    ) {
        self.message = message
        self.commandLine = commandLine
        self.channels = channels
        self.subscribersPerChannel = subscribersPerChannel
        self.heldSegments = heldSegments
    }
}

/// What becomes of the subscribers when the last publisher of their channel leaves.
public enum PublisherExitPolicy: String, Sendable, Hashable, CaseIterable {
    /// They stay, and wait for the next publisher.
    case keep
    /// They get `BYE` and are closed.
    case bye
}

/// How a broker behaves; fixed when it is made.
public struct BrokerConfiguration: Sendable, Hashable {
    /// How much one peer may ask for.
    public var limits: PubSubLimits
    /// What becomes of subscribers without a publisher.
    public var onPublisherExit: PublisherExitPolicy
    /// Whether the publishers of a channel wait while one of its subscribers is behind.
    ///
    /// A subscriber is behind from a delivery that its peer answered `backlogged` until ``Session/drained(peer:)``, until
    /// it leaves, or until a delivery is `refused`. As long as one is, all publishers of its channel are told
    /// ``Peer/pauseReading()``; what they had sent before is delivered. One subscriber that stops reading thereby stops
    /// its channel, for as long as it stays: end those on which nothing moves, with an idle timeout.
    public var pausesPublishers: Bool

    /// By default messages of up to 4 MiB, subscribers that stay, and publishers that never wait.
    public init(
        limits: PubSubLimits = PubSubLimits(),
        onPublisherExit: PublisherExitPolicy = .keep,
        pausesPublishers: Bool = false
    ) {
        self.limits = limits
        self.onPublisherExit = onPublisherExit
        self.pausesPublishers = pausesPublishers
    }
}
