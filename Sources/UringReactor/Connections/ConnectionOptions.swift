/// Limits and times of a connection.
public struct ConnectionOptions: Sendable, Hashable {
    /// After this long without a byte received or sent, the handler gets ``ConnectionEvent/timedOut``; a connection with
    /// callbacks is closed. Nil: never.
    public var idleTimeout: Duration?
    /// Above this many bytes waiting to be sent, ``Connection/send(_:)-(Bytes)`` answers ``SendOutcome/backlogged``.
    public var highWatermark = 1 << 20
    /// At or below this many, ``ConnectionEvent/drained`` follows.
    public var lowWatermark = 1 << 18
    /// The most bytes waiting to be sent. What becomes of a send beyond it is up to ``slowConsumer``: a peer that does not
    /// read must not take all memory. One message is taken whatever its size if nothing else waits.
    public var maximumPendingBytes = 64 << 20
    /// What happens at ``maximumPendingBytes``.
    public var slowConsumer = SlowConsumerPolicy.disconnect(farewell: nil)
    /// How long a peer may take nothing of what waits for it before the connection ends
    /// (``CloseReason/writeTimedOut``). A byte acknowledged (`SIOCOUTQ`, tcp(7)) counts, however slow it goes. Nil: for as
    /// long as the network believes in it.
    public var writeTimeout: Duration? = .seconds(10)
    /// How long ``Connection/close()`` tries to send what is queued.
    public var flushTimeout = Duration.seconds(30)
    /// How long it then waits for the peer to end its side.
    public var lingerTimeout = Duration.seconds(2)
    /// How the connection receives.
    public var receiving = ReceivePolicy.adaptive
    /// Pieces of at least so many bytes are sent without the kernel's copying them (`IORING_OP_SEND_ZC`, Linux 6.0): the
    /// network reads them where they are, and they stay alive until it says that it is done. Nil, the default: never. Worth
    /// it from some ten kilobytes on, over a real network; over loopback the kernel copies anyway, and it costs more.
    public var zeroCopyThreshold: Int?

    /// The defaults.
    public init() {}
}

/// What happens when more waits for a peer than ``ConnectionOptions/maximumPendingBytes``.
///
/// A *message* is what one call of `send` was given. None is ever cut: one that has been sent in part is finished.
public enum SlowConsumerPolicy: Sendable, Hashable {
    /// The connection ends with ``CloseReason/slowConsumer``: what waits is dropped, but for a message that has been sent in
    /// part; then the farewell goes out, if there is one and the peer takes it in time
    /// (``ConnectionOptions/writeTimeout``, ``ConnectionOptions/flushTimeout``).
    case disconnect(farewell: Bytes?)
    /// The message is not queued (``SendOutcome/dropped``); what waits stays.
    case dropNewest
    /// The oldest messages make room; behind one that has been sent in part, one more may wait than fits. Those of a peer
    /// that has fallen far behind may have been put together in memory; they are then dropped together, at most 64 KiB at
    /// once.
    case dropOldest
}

/// How a connection receives.
public enum ReceivePolicy: Sendable, Hashable {
    /// One receive that goes on and on (multishot, Linux 6.0), into buffers that the kernel picks when something has come,
    /// so that a connection that waits costs no buffer; larger buffers for a peer that sends much at once, for as long as it
    /// does; and single receives into a buffer of their own when too many of those are in use. The default. Connections with
    /// callbacks, which receive only what is asked for, and Unix sockets, where Linux can lose the end of a multishot
    /// receive, use single ones.
    case adaptive
    /// Multishot into small buffers always, whatever the peer sends; single receives only where the kernel has no other.
    case multishot
    /// Single receives only, into small or large buffers by what the peer sends.
    case singleShot
}
