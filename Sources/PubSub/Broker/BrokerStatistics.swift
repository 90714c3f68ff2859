/// What a broker has done, and what it holds right now.
public struct BrokerStatistics: Sendable, Hashable {
    /// Messages that came in whole, whether or not anybody was there to get them.
    public internal(set) var messagesPublished: UInt64 = 0
    /// Messages that a subscriber's peer took, each counted once for every subscriber.
    public internal(set) var deliveries: UInt64 = 0
    /// Messages that a subscriber's peer dropped (`SendOutcome.dropped`), each counted once for every subscriber.
    public internal(set) var messagesDropped: UInt64 = 0
    /// Bytes that sessions were fed, commands and what was dropped or ignored included.
    public internal(set) var bytesIn: UInt64 = 0
    /// Bytes that peers took, replies included.
    public internal(set) var bytesOut: UInt64 = 0
    /// Bytes of messages that were copied, once for each time: beginnings of messages that came in small pieces, or beyond
    /// ``PubSubLimits/heldSegments``. What lies in one segment, or is cut once, is passed on as it is.
    public internal(set) var bytesCopied: UInt64 = 0
    /// Messages of which only the beginning came before their publisher's connection ended.
    public internal(set) var fragmentsDropped: UInt64 = 0
    /// Peers sent away with an `ERROR`.
    public internal(set) var errors: UInt64 = 0
    /// How often a channel's publishers were made to wait; see ``BrokerConfiguration/pausesPublishers``.
    public internal(set) var publisherPauses: UInt64 = 0

    /// Connections that are subscribers now.
    public internal(set) var subscribers = 0
    /// Connections that are publishers now.
    public internal(set) var publishers = 0
    /// Channels that have a subscriber or a publisher now.
    public internal(set) var channels = 0
    /// Receive segments kept alive now by unfinished messages; see ``PubSubLimits/heldSegments``.
    public internal(set) var segmentsHeld = 0
}
