/// A table in Markdown that can be read as it is: columns are as wide as their widest cell.
struct MarkdownTable {
    enum Alignment {
        case left
        case right
    }

    let columns: [(title: String, alignment: Alignment)]
    private var rows: [[String]] = []

    init(_ columns: [(String, Alignment)]) {
        self.columns = columns.map { (title: $0.0, alignment: $0.1) }
    }

    /// Cells that are missing are empty.
    mutating func add(_ cells: [String]) {
        let escaped = cells.prefix(columns.count).map { $0.split(separator: "|").joined(separator: "\\|") }
        rows.append(escaped + Array(repeating: "", count: columns.count - escaped.count))
    }

    var text: String {
        let widths = columns.indices.map { index in
            max(3, columns[index].title.count, rows.map { $0[index].count }.max() ?? 0)
        }
        let line = { (cells: [String]) in "| " + cells.joined(separator: " | ") + " |\n" }
        let padded = { (cells: [String]) in
            line(columns.indices.map { pad(cells[$0], to: widths[$0], columns[$0].alignment) })
        }
        let rule = columns.indices.map { index in
            let dashes = String(repeating: "-", count: widths[index] - 1)
            return columns[index].alignment == .right ? dashes + ":" : dashes + "-"
        }
        return padded(columns.map(\.title)) + line(rule) + rows.map(padded).joined()
    }

    private func pad(_ text: String, to width: Int, _ alignment: Alignment) -> String {
        let blanks = String(repeating: " ", count: max(0, width - text.count))
        return alignment == .right ? blanks + text : text + blanks
    }
}
