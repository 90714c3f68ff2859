import UringReactor

/// Text for people, made of bytes from strangers: printable ASCII only, one line, of bounded length.
enum Escaping {
    /// How many bytes of a peer's own input are shown back to it.
    static let echoedBytes = 40

    /// `bytes` with a backslash doubled, and everything but printable ASCII as `\xNN`; `...` where it was cut.
    static func echo(_ bytes: Bytes, upTo limit: Int = echoedBytes) -> String {
        var text = ""
        for byte in bytes.prefix(limit) {
            switch byte {
            case ASCII.backslash: text += "\\\\"
            case ASCII.blank..<ASCII.delete: text.unicodeScalars.append(Unicode.Scalar(byte))
            default: text += hex(byte)
            }
        }
        return bytes.count > limit ? text + "..." : text
    }

    /// `text` with ASCII control characters as `\xNN`, so that it cannot end its line; all else as it is.
    static func line(_ text: String) -> String {
        guard text.utf8.contains(where: isControl) else { return text }
        return text.unicodeScalars.reduce(into: "") { line, scalar in
            if scalar.isASCII, isControl(UInt8(scalar.value)) {
                line += hex(UInt8(scalar.value))
            } else {
                line.unicodeScalars.append(scalar)
            }
        }
    }

    /// `\xNN`.
    static func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return byte < 0x10 ? "\\x0\(digits)" : "\\x\(digits)"
    }

    /// Whether `byte` is a control character of ASCII: below blank, or DEL.
    static func isControl(_ byte: UInt8) -> Bool { byte < ASCII.blank || byte == ASCII.delete }
}
