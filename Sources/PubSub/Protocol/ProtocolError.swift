import UringReactor

/// Why a peer is sent away: it broke the protocol, or asked for more than there is.
///
/// Whatever the case, the peer gets `ERROR` with the ``reason`` and is closed. Echoes of what it said are already
/// escaped and cut, so that an error holds no receive buffer.
public enum ProtocolError: Error, Sendable, Hashable {
    /// A line of more than `limit` bytes, its ending not counted.
    case lineTooLong(limit: Int)
    /// A line with nothing on it where a command was due.
    case emptyCommand
    /// The first line is no command; the echo is what it was, in printable ASCII.
    case unknownCommand(echo: String)
    /// `PUBLISH` or `SUBSCRIBE` without a name.
    case missingChannelName
    /// A name of `count` bytes, more than ``ChannelName/longest``.
    case channelNameTooLong(count: Int)
    /// A name with a blank or a control byte, and where, counted from 0.
    case channelNameHasByte(UInt8, at: Int)
    /// A subscriber said something else than `BYE`; the echo is what, in printable ASCII.
    case subscriberMayOnlyLeave(echo: String)
    /// One channel more than ``PubSubLimits/channels``.
    case tooManyChannels(limit: Int)
    /// One subscriber of this channel more than ``PubSubLimits/subscribersPerChannel``.
    case tooManySubscribers(limit: Int)

    /// What stands after `ERROR` and a blank: printable ASCII, one line, at most 300 bytes.
    public var reason: String {
        switch self {
        case .lineTooLong(let limit):
            "line longer than \(limit) bytes"
        case .emptyCommand:
            "empty command, expected PUBLISH <channel>, SUBSCRIBE <channel> or BYE"
        case .unknownCommand(let echo):
            "unknown command \"\(echo)\", expected PUBLISH <channel>, SUBSCRIBE <channel> or BYE"
        case .missingChannelName:
            "missing channel name"
        case .channelNameTooLong(let count):
            "channel name of \(count) bytes, longer than \(ChannelName.longest)"
        case .channelNameHasByte(let byte, let position):
            "channel name with byte \(Escaping.hex(byte)) at \(position), blanks and control bytes are not allowed"
        case .subscriberMayOnlyLeave(let echo):
            "a subscriber may only send BYE, not \"\(echo)\""
        case .tooManyChannels(let limit):
            "no more than \(limit) channels"
        case .tooManySubscribers(let limit):
            "no more than \(limit) subscribers of one channel"
        }
    }
}

extension ProtocolError: CustomStringConvertible {
    /// The ``reason``.
    public var description: String { reason }
}
