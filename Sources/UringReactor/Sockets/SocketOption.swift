import Glibc

/// A socket option whose value is an `int`: socket(7), tcp(7), ipv6(7).
public struct SocketOption: Sendable, Hashable {
    /// `SOL_SOCKET`, `IPPROTO_TCP`, …
    public let level: Int32
    /// `SO_REUSEADDR`, `TCP_NODELAY`, …
    public let name: Int32

    /// An option that has no name here.
    public init(level: Int32, name: Int32) {
        self.level = level
        self.name = name
    }

    /// Bind to an address that old connections still linger on.
    public static let reuseAddress = SocketOption(level: SOL_SOCKET, name: SO_REUSEADDR)
    /// Several sockets on one address, between which the kernel spreads new connections.
    public static let reusePort = SocketOption(level: SOL_SOCKET, name: SO_REUSEPORT)
    /// Send small segments at once (no Nagle). Accepted sockets inherit it from the listening one.
    public static let noDelay = SocketOption(level: Int32(IPPROTO_TCP), name: TCP_NODELAY)
    /// Find dead peers on idle connections.
    public static let keepAlive = SocketOption(level: SOL_SOCKET, name: SO_KEEPALIVE)
    /// Bytes of the kernel's send buffer; the kernel doubles the number. Accepted sockets inherit it.
    public static let sendBuffer = SocketOption(level: SOL_SOCKET, name: SO_SNDBUF)
    /// Bytes of the kernel's receive buffer; the kernel doubles the number. Accepted sockets inherit it.
    public static let receiveBuffer = SocketOption(level: SOL_SOCKET, name: SO_RCVBUF)
    /// Whether an IPv6 socket leaves IPv4 alone.
    public static let ipv6Only = SocketOption(level: Int32(IPPROTO_IPV6), name: IPV6_V6ONLY)
}

extension [SocketOption: Int] {
    /// The same order in every process: a dictionary's own depends on where it runs.
    var inOrder: [(option: SocketOption, value: Int)] {
        map { (option: $0.key, value: $0.value) }
            .sorted { ($0.option.level, $0.option.name) < ($1.option.level, $1.option.name) }
    }
}

/// Which half of a connection shutdown(2) ends.
public enum ShutdownDirection: Sendable, Hashable {
    /// No more receives: `SHUT_RD`.
    case receiving
    /// No more sends; the peer sees the end once it has read what was sent: `SHUT_WR`.
    case sending
    /// Both: `SHUT_RDWR`.
    case both

    /// `SHUT_…`
    public var number: Int32 {
        switch self {
        case .receiving: Int32(SHUT_RD)
        case .sending: Int32(SHUT_WR)
        case .both: Int32(SHUT_RDWR)
        }
    }
}
