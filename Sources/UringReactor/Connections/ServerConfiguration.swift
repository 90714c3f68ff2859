/// How a ``Server`` listens, and the limits of its connections.
public struct ServerConfiguration: Sendable {
    /// Connections the kernel completes before they are accepted: listen(2). Cut at `net.core.somaxconn`.
    public var backlog = 4096
    /// Listen on an address that old connections still linger on (`SO_REUSEADDR`). Not for Unix sockets.
    public var reuseAddress = true
    /// Let several servers listen on the same address, one a thread (`SO_REUSEPORT`). Not for Unix sockets.
    public var reusePort = false
    /// Send small segments at once (`TCP_NODELAY`). Not for Unix sockets.
    public var noDelay = true
    /// Further options of the listening socket, which the accepted ones inherit, such as ``SocketOption/sendBuffer``.
    public var socketOptions: [SocketOption: Int] = [:]
    /// Whether a file at the path of a Unix socket is removed before listening. Without it a file that a server left
    /// behind when it was killed fails the next one with `EADDRINUSE`; with it, a server that is alive loses its name.
    public var replacesSocketFile = false
    /// The most connections at once; nil leaves it to ``ReactorConfiguration/maximumConnections``.
    public var maximumConnections: Int?
    /// What a connection beyond that is told before it is closed; nil closes it without a word.
    public var refusal: Bytes?
    /// Limits and times of each connection.
    public var connection = ConnectionOptions()
    /// How long ``Server/stop()`` lets connections finish before it ends them.
    public var drainTimeout = Duration.seconds(5)

    /// The defaults.
    public init() {}
}
