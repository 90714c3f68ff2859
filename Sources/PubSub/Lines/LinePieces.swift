import UringReactor

/// The pieces of one line, or of its beginning, in order.
///
/// The first lies inline: a line cut once needs no array.
struct LinePieces {
    private(set) var first: Bytes?
    private(set) var others: [Bytes] = []

    /// Uses the capacity of `memory`, an empty array, for the pieces to come, if there is none to use yet.
    mutating func reuse(_ memory: consuming [Bytes]) {
        assert(memory.isEmpty)
        if others.isEmpty { others = memory }
    }

    var isEmpty: Bool { first == nil }

    /// The number of pieces.
    var count: Int { first == nil ? 0 : 1 + others.count }

    /// The number of bytes in all pieces together.
    var byteCount: Int { others.reduce(first?.count ?? 0) { $0 + $1.count } }

    mutating func append(_ piece: Bytes) {
        if first == nil {
            first = piece
        } else {
            others.append(piece)
        }
    }

    /// Whether `predicate` holds for each piece, in order.
    func allSatisfy(_ predicate: (Bytes) -> Bool) -> Bool {
        guard let first else { return true }
        return predicate(first) && others.allSatisfy(predicate)
    }

    /// One run of bytes: the pieces, then `end`. Copies everything once, twice if there are several pieces.
    func joined(with end: Bytes) -> Bytes {
        guard let first else { return end }
        guard !others.isEmpty else { return first + end }
        var line: [UInt8] = []
        line.reserveCapacity(byteCount + end.count)
        line.append(contentsOf: first)
        for piece in others { line.append(contentsOf: piece) }
        line.append(contentsOf: end)
        return Bytes(line)
    }
}
