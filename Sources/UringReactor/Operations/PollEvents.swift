import Glibc

/// What to wait for on a descriptor, and what came: poll(2).
public struct PollEvents: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// There is something to read, or a connection to accept.
    public static let readable = PollEvents(rawValue: UInt32(POLLIN))
    /// A write would not wait.
    public static let writable = PollEvents(rawValue: UInt32(POLLOUT))
    /// Out-of-band data, and other exceptions.
    public static let priority = PollEvents(rawValue: UInt32(POLLPRI))
    /// The peer has ended its sending (Linux).
    public static let peerEnded = PollEvents(rawValue: 0x2000)
    /// An error is pending. Reported whether asked for or not.
    public static let error = PollEvents(rawValue: UInt32(POLLERR))
    /// Hung up: both directions have ended. Reported whether asked for or not.
    public static let hungUp = PollEvents(rawValue: UInt32(POLLHUP))
}
