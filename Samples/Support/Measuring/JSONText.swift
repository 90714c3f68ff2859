/// A value of JSON, written as text: RFC 8259. The order of an object's members is kept.
enum JSONText {
    case members([Member])
    case array([JSONText])
    case text(String)
    case number(Double)
    case integer(UInt64)
    case null

    /// A member of an object.
    struct Member {
        let name: String
        let value: JSONText
    }

    static func object(_ members: [(String, JSONText)]) -> JSONText {
        .members(members.map { Member(name: $0.0, value: $0.1) })
    }

    /// The text, indented by two blanks a level.
    var text: String { text(indent: "") }

    private func text(indent: String) -> String {
        let inner = indent + "  "
        switch self {
        case .members(let members) where members.isEmpty: return "{}"
        case .members(let members):
            let lines = members.map { inner + JSONText.quoted($0.name) + ": " + $0.value.text(indent: inner) }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        case .array(let values):
            return "[" + values.map { $0.text(indent: inner) }.joined(separator: ", ") + "]"
        case .text(let text): return JSONText.quoted(text)
        // JSON has no infinity.
        case .number(let number): return number.isFinite ? "\(number)" : "null"
        case .integer(let number): return "\(number)"
        case .null: return "null"
        }
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case "\n": quoted += "\\n"
            case _ where scalar.value < 0x20:
                quoted += "\\u00" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
