import UringReactor

/// Who is on which channel, and the way of a message from its publisher to all subscribers.
///
/// There are no sockets in it: a server makes one broker, and for every connection a ``Session`` on it. The session is fed
/// the bytes that come in; what is to go out goes to the connection's ``Peer``.
///
///     let broker = Broker<Connection>()
///     var session = Session(on: broker)
///     session.receive(bytes, from: connection)         // as often as bytes come
///     session.ended(.endOfStream, peer: connection)    // once, or more often
///
/// **Memory.** A channel exists while somebody is on it. A message is never stored: it is on its way to the subscribers in
/// the call that brought its last byte, as slices of the segments it came in.
///
/// **Threads.** None: a broker, its sessions and its peers belong to one thread.
///
/// **Calling back.** What a peer does when it is called, and ``onEvent``, may call other sessions of the broker. Who leaves
/// gets nothing more, not even messages that others have just got; who joins gets what is delivered after; and what is
/// published to a channel during a delivery on it is delivered after that one, so that all subscribers of a channel see
/// one order.
///
/// **Slow subscribers.** What a peer cannot take it drops whole, or waits with, or ends over: its `send` says which.
/// ``BrokerConfiguration/pausesPublishers`` makes publishers wait instead.
public final class Broker<P: Peer> {
    /// How it behaves.
    public let configuration: BrokerConfiguration
    /// What it has done, and what it holds.
    public internal(set) var statistics = BrokerStatistics()
    /// Gets every event, on the thread of the broker, after the fact.
    public var onEvent: ((BrokerEvent<P>) -> Void)?

    var channels: [ChannelName: Channel<P>] = [:]
    /// An empty array with room for the pieces of a batch.
    var spareArray: [Bytes] = []
    /// ``send(on:lines:pieces:)``, specialized for the type of peer where that is known.
    let walk: (Broker<P>, Channel<P>, Bytes, [Bytes]?) -> WalkOutcome
    private var lastID: MemberID = 0

    /// A broker without channels.
    @inlinable
    public convenience init(
        configuration: BrokerConfiguration = BrokerConfiguration(),
        onEvent: ((BrokerEvent<P>) -> Void)? = nil
    ) {
        self.init(configuration: configuration, onEvent: onEvent, walk: { $0.send(on: $1, lines: $2, pieces: $3) })
    }

    @usableFromInline
    init(
        configuration: BrokerConfiguration, onEvent: ((BrokerEvent<P>) -> Void)?,
        walk: @escaping (Broker<P>, Channel<P>, Bytes, [Bytes]?) -> WalkOutcome
    ) {
        self.configuration = configuration
        self.onEvent = onEvent
        self.walk = walk
    }

    /// How many subscribers the channel has now; 0 for one that does not exist.
    public func subscriberCount(of name: ChannelName) -> Int { channels[name]?.subscribers.count ?? 0 }

    /// How many publishers the channel has now; 0 for one that does not exist.
    public func publisherCount(of name: ChannelName) -> Int { channels[name]?.publishers.count ?? 0 }

    /// The names of all channels that have a publisher or a subscriber, in no order. Takes time in proportion.
    public var channelNames: [ChannelName] { Array(channels.keys) }

    /// Whether an unfinished message may keep one more receive segment alive.
    var mayHoldSegment: Bool { statistics.segmentsHeld < configuration.limits.heldSegments }

    func nextID() -> MemberID {
        lastID += 1
        return lastID
    }

    func emit(_ event: BrokerEvent<P>) {
        onEvent?(event)
    }

    func reply(_ reply: Reply, to peer: P) {
        let line = reply.line
        switch peer.reply(line) {
        case .queued, .backlogged: statistics.bytesOut += UInt64(line.count)
        case .dropped, .refused: break
        }
    }

    func dropFragment(of count: Int, from peer: P, to name: ChannelName) {
        statistics.fragmentsDropped += 1
        emit(.fragmentDropped(peer, name, count: count))
    }
}
