/// Limits and times of a connection.
public struct ConnectionOptions: Sendable, Hashable {
    /// After this long without a byte received, or a send completed, the handler gets ``ConnectionEvent/timedOut``; a
    /// connection with callbacks is closed. Nil: never.
    public var idleTimeout: Duration?
    /// Above this many bytes waiting to be sent, ``Connection/send(_:)`` answers ``SendOutcome/backlogged``.
    public var highWatermark = 1 << 20
    /// At or below this many, ``ConnectionEvent/drained`` follows.
    public var lowWatermark = 1 << 18
    /// The most bytes waiting to be sent. A send beyond it closes the connection (``CloseReason/slowConsumer``): a peer
    /// that does not read must not take all memory. One piece is taken whatever its size if nothing else waits.
    public var maximumPendingBytes = 64 << 20
    /// How long ``Connection/close()`` tries to send what is queued.
    public var flushTimeout = Duration.seconds(30)
    /// How long it then waits for the peer to end its side.
    public var lingerTimeout = Duration.seconds(2)

    /// The defaults.
    public init() {}
}
