/// What a connection is in the protocol.
public enum Role: Sendable, Hashable {
    /// It has not said what it wants.
    case undecided
    /// Its lines are messages to the channel.
    case publisher(of: ChannelName)
    /// It gets the messages of the channel.
    case subscriber(of: ChannelName)
}

extension Role: CustomStringConvertible {
    /// For instance `subscriber of news`; a name in printable ASCII, fit for a log.
    public var description: String {
        switch self {
        case .undecided: "undecided"
        case .publisher(let name): "publisher of \(name.debugDescription)"
        case .subscriber(let name): "subscriber of \(name.debugDescription)"
        }
    }
}

/// Why a connection is no longer part of the protocol.
public enum Departure: Sendable, Hashable {
    /// It said `BYE`.
    case bye
    /// It ended its stream without a word.
    case endOfStream
    /// The connection failed or was given up: reset, timed out, too slow, server stopped. The text says which.
    case failed(String)
    /// It broke the protocol or a limit, and got an `ERROR`.
    case refused(ProtocolError)
    /// The last publisher of its channel left, and it got a `BYE`.
    case dismissed
}

extension Departure: CustomStringConvertible {
    /// A few words for a log.
    public var description: String {
        switch self {
        case .bye: "said BYE"
        case .endOfStream: "end of stream"
        case .failed(let why): why
        case .refused(let error): error.reason
        case .dismissed: "the last publisher left"
        }
    }
}

/// What happens at a broker, for logs and for tests that wait.
///
/// Events come after the fact: when `left` is reported, the counts are already without the peer. A pause is a fact when it
/// is decided, just before the publishers' peers are told. Messages are no events; ``BrokerStatistics`` counts them.
public enum BrokerEvent<P: Peer> {
    /// A peer became a publisher or a subscriber, and got its `OK`.
    case joined(P, Role)
    /// A peer left, or was sent away, after which it has no further events. Every session ends with exactly one of these.
    case left(P, Role, Departure)
    /// A publisher's connection ended within a message, of which `count` bytes had come; they were dropped.
    case fragmentDropped(P, ChannelName, count: Int)
    /// The publishers of a channel wait from now on, because this subscriber is behind, perhaps soon others too. Each
    /// of these is followed by one `publishersResumed`.
    case publishersPaused(ChannelName, behind: P)
    /// Nobody on the channel is behind any more, and its publishers go on.
    case publishersResumed(ChannelName)
}

extension BrokerEvent: Equatable {}
extension BrokerEvent: Sendable where P: Sendable {}

extension BrokerEvent: CustomStringConvertible {
    /// One line for a log.
    public var description: String {
        switch self {
        case .joined(let peer, let role): "\(peer) joined: \(role)"
        case .left(let peer, let role, let departure): "\(peer) left: \(role), \(departure)"
        case .fragmentDropped(let peer, let name, let count):
            "\(peer) ended within a message to \(name.debugDescription): \(count) bytes dropped"
        case .publishersPaused(let name, let peer):
            "publishers of \(name.debugDescription) paused: \(peer) is behind"
        case .publishersResumed(let name): "publishers of \(name.debugDescription) resumed"
        }
    }
}
