import UringReactor

/// The bytes of the protocol that have a meaning.
enum ASCII {
    static let lineFeed: UInt8 = 0x0a
    static let carriageReturn: UInt8 = 0x0d
    static let blank: UInt8 = 0x20
    static let backslash: UInt8 = 0x5c
    static let delete: UInt8 = 0x7f
}

/// One line as it came: its content and its ending, LF or CRLF.
///
/// A CR is part of the ending only directly before the LF; anywhere else it is content.
public struct Line: Sendable, Hashable {
    /// The whole line, ending included: what is passed on byte for byte.
    public let bytes: Bytes
    /// The number of bytes before the ending: what limits count.
    public let contentCount: Int

    /// A line of `bytes`; an ending may be missing.
    ///
    /// - Parameter bytes: Shared, not copied. An LF anywhere but at the end is taken for content.
    public init(_ bytes: Bytes) {
        self.bytes = bytes
        guard bytes.count > 0, bytes[bytes.count - 1] == ASCII.lineFeed else {
            contentCount = bytes.count
            return
        }
        let beforeLineFeed = bytes.count - 1
        let endsInCRLF = beforeLineFeed > 0 && bytes[beforeLineFeed - 1] == ASCII.carriageReturn
        contentCount = endsInCRLF ? beforeLineFeed - 1 : beforeLineFeed
    }

    /// The line without its ending, sharing its memory.
    public var content: Bytes { bytes.prefix(contentCount) }

    /// LF, CRLF, or nothing.
    public var ending: Bytes { bytes.dropFirst(contentCount) }

    /// Whether the content is exactly `BYE`, in capitals: the one line that is never a message.
    public var isBye: Bool { content == Command.Verb.bye }
}

extension Line: CustomStringConvertible {
    /// The content as text; what is not UTF-8 becomes U+FFFD.
    public var description: String { String(content) }
}
