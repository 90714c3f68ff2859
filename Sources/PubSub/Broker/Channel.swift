/// One channel: who publishes, who subscribes, and what waits to be delivered.
@usableFromInline
final class Channel<P: Peer> {
    let name: ChannelName
    var publishers = PublisherList<P>()
    @usableFromInline
    var subscribers = SubscriberList<P>()

    /// Whether a batch is on its way to the subscribers.
    var isDelivering = false
    /// What was published by a peer's `send` during a delivery. It waits, so that all subscribers see one order.
    var backlog: [MessageBatch] = []

    /// Whether publishers are to wait, because a subscriber is behind.
    var isPaused = false
    /// Whether publishers are being told to pause or to resume, right now.
    var isTellingPublishers = false

    init(name: ChannelName) {
        self.name = name
    }

    /// Whether nobody would miss it.
    var isDeserted: Bool { publishers.isEmpty && subscribers.count == 0 }
}

/// The place of one session on a channel; stale once that session has left, which is harmless.
public struct Membership<P: Peer> {
    let channel: Channel<P>
    let id: MemberID

    /// The name of the channel.
    public var channelName: ChannelName { channel.name }
}
