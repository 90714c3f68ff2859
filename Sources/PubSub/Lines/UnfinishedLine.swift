import UringReactor

/// The beginning of a line whose ending has not come yet, in pieces.
///
/// Pieces are kept as the slices they came as, so that a line that spans segments is passed on without joining it. But a
/// slice of one byte may hold a whole receive buffer, and a peer may send one byte at a time. Therefore:
///
/// - the first piece is held, whatever its size: a line cut once, which is what a busy stream does at the end of nearly
///   every segment, costs no copy and no allocation;
/// - later pieces of ``smallPiece`` bytes or more are held;
/// - smaller ones are gathered in a growing buffer, sealed into a piece of its own when it has ``chunk`` bytes or when a
///   large piece follows, whose beginning first fills it up to `smallPiece`;
/// - a piece that may not be held (``append(_:holding:)``) is copied.
///
/// So every piece but the first and the last has at least `smallPiece` bytes, there are at most
/// `2 + count / smallPiece` of them, and no byte is copied more than twice, however the line was cut (besides the
/// doubling of the buffer, up to `chunk`).
struct UnfinishedLine {
    /// Below so many bytes a piece is copied rather than held.
    static let smallPiece = 2048
    /// Gathered bytes are sealed into a piece at this size, so the gathering buffer stays below it and one small piece.
    static let chunk = 64 * 1024
    /// A gathering buffer larger than this is given back when its line is done: thousands of sessions may be idle.
    private static let keptCapacity = 4096
    /// Likewise an array of more pieces.
    private static let keptPieces = 128

    /// The bytes of the line so far.
    private(set) var count = 0
    /// The last byte; 0 before there is one.
    private(set) var lastByte: UInt8 = 0
    /// The pieces held by reference, each of which keeps a receive segment alive.
    private(set) var segmentsHeld = 0
    /// The bytes copied so far, of all lines; those copied twice count twice.
    private(set) var bytesCopied = 0

    private var pieces = LinePieces()
    /// The pieces taken last, whose memory is used again once nobody else has it (``recycle()``).
    private var taken: [Bytes] = []
    private var gathered: [UInt8] = []

    var isEmpty: Bool { count == 0 }

    /// The pieces there would be now, the one being gathered included.
    var pieceCount: Int { pieces.count + (gathered.isEmpty ? 0 : 1) }

    /// Takes the next bytes of the line, at least one.
    ///
    /// - Parameter holding: Whether the memory of `piece` may be kept alive; if not it is copied, whatever its size.
    mutating func append(_ piece: Bytes, holding: Bool) {
        assert(!piece.isEmpty)
        let isFirst = isEmpty
        count += piece.count
        lastByte = piece[piece.count - 1]

        var piece = piece
        let missing = UnfinishedLine.smallPiece - gathered.count
        if !gathered.isEmpty, missing > 0, piece.count >= UnfinishedLine.smallPiece {
            gather(piece.prefix(missing))
            piece = piece.dropFirst(missing)
        }
        if piece.count >= UnfinishedLine.smallPiece || (isFirst && holding) {
            seal()
            add(piece, holding: holding)
        } else {
            gather(piece)
        }
    }

    /// Hands over the pieces, in order, and is empty afterwards.
    mutating func take() -> LinePieces {
        seal()
        let taken = pieces
        self.taken = pieces.others
        clear()
        return taken
    }

    /// Says that what was taken has been passed on: the array of its pieces is emptied, and serves for the next line.
    ///
    /// Without this every long line would allocate an array, and let it grow.
    mutating func recycle() {
        guard !taken.isEmpty else { return }
        taken.removeAll(keepingCapacity: taken.capacity <= UnfinishedLine.keptPieces)
        pieces.reuse(taken)
        taken = []
    }

    /// Whether `line` begins with it, which is found out without joining pieces.
    func isBeginning(of line: Bytes) -> Bool {
        guard count <= line.count else { return false }
        var rest = line
        func isNext(_ piece: some Sequence<UInt8>, _ count: Int) -> Bool {
            guard rest.prefix(count).elementsEqual(piece) else { return false }
            rest = rest.dropFirst(count)
            return true
        }
        return pieces.allSatisfy { isNext($0, $0.count) } && isNext(gathered, gathered.count)
    }

    /// Forgets the line.
    mutating func clear() {
        count = 0
        lastByte = 0
        segmentsHeld = 0
        pieces = LinePieces()
        gathered.removeAll(keepingCapacity: gathered.capacity <= UnfinishedLine.keptCapacity)
    }

    private mutating func add(_ piece: Bytes, holding: Bool) {
        if holding {
            segmentsHeld += 1
            pieces.append(piece)
        } else {
            bytesCopied += piece.count
            pieces.append(piece.copied())
        }
    }

    private mutating func gather(_ piece: Bytes) {
        bytesCopied += piece.count
        gathered.append(contentsOf: piece)
        if gathered.count >= UnfinishedLine.chunk { seal() }
    }

    /// Makes a piece of what was gathered.
    private mutating func seal() {
        guard !gathered.isEmpty else { return }
        bytesCopied += gathered.count
        pieces.append(Bytes(gathered))
        gathered.removeAll(keepingCapacity: true)
    }
}
