import UringReactor

/// The name of a channel: 1 to 255 bytes, none of them a blank or a control character.
///
/// Bytes above 0x7f are allowed and are not checked for UTF-8; names are compared byte for byte.
public struct ChannelName: Sendable, Hashable {
    /// The longest name in bytes.
    public static let longest = 255

    /// The name as it stands in a command, in memory of its own.
    public let bytes: Bytes

    /// A copy of `bytes`, so that a name that is kept for long holds no receive buffer.
    ///
    /// - Throws: ``ProtocolError/missingChannelName``, ``ProtocolError/channelNameTooLong(count:)`` or
    ///   ``ProtocolError/channelNameHasByte(_:at:)``.
    public init(_ bytes: Bytes) throws(ProtocolError) {
        guard !bytes.isEmpty else { throw .missingChannelName }
        guard bytes.count <= ChannelName.longest else { throw .channelNameTooLong(count: bytes.count) }
        for position in 0..<bytes.count {
            let byte = bytes[position]
            guard byte != ASCII.blank, !Escaping.isControl(byte) else {
                throw .channelNameHasByte(byte, at: position)
            }
        }
        self.bytes = bytes.copied()
    }

    /// The UTF-8 of `text`.
    ///
    /// - Throws: As ``init(_:)-(Bytes)``.
    public init(_ text: String) throws(ProtocolError) {
        try self.init(Bytes(text))
    }
}

extension ChannelName: Comparable {
    /// Byte by byte; what is a beginning of another comes before it.
    public static func < (left: ChannelName, right: ChannelName) -> Bool { left.bytes < right.bytes }
}

extension ChannelName: CustomStringConvertible, CustomDebugStringConvertible {
    /// The name as text; what is not UTF-8 becomes U+FFFD.
    public var description: String { String(bytes) }

    /// The whole name in printable ASCII, the rest as `\xNN`.
    public var debugDescription: String { Escaping.echo(bytes, upTo: ChannelName.longest) }
}
