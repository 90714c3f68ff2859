/// What a broker has done, and what it holds right now.
public struct BrokerStatistics: Sendable, Hashable {
    /// Messages that came in whole, whether or not anybody was there to get them.
    public internal(set) var messagesPublished: UInt64 = 0
    /// Messages handed to a subscriber, each counted once for every subscriber.
    public internal(set) var deliveries: UInt64 = 0
    /// Bytes that sessions were fed, commands and what was dropped or ignored included.
    public internal(set) var bytesIn: UInt64 = 0
    /// Bytes handed to peers, replies included.
    public internal(set) var bytesOut: UInt64 = 0
    /// Messages of which only the beginning came before their publisher's connection ended.
    public internal(set) var fragmentsDropped: UInt64 = 0
    /// Peers sent away with an `ERROR`.
    public internal(set) var errors: UInt64 = 0

    /// Connections that are subscribers now.
    public internal(set) var subscribers = 0
    /// Connections that are publishers now.
    public internal(set) var publishers = 0
    /// Channels that have a subscriber or a publisher now.
    public internal(set) var channels = 0
    /// Receive segments kept alive now by unfinished messages; see ``PubSubLimits/heldSegments``.
    public internal(set) var segmentsHeld = 0
}
