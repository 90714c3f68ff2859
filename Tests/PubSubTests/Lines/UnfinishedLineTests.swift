@testable import PubSub
import Testing
import UringReactor

@Suite struct UnfinishedLineTests {
    private static let small = UnfinishedLine.smallPiece
    private static let chunk = UnfinishedLine.chunk

    private func joined(_ pieces: LinePieces) -> Bytes { pieces.joined(with: Bytes()) }

    private func bytes(_ count: Int, from start: Int = 0) -> Bytes {
        Bytes((start..<(start + count)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
    }

    @Test func theFirstPieceIsHeldWhateverItsSize() {
        var line = UnfinishedLine()
        let piece = bytes(1)
        line.append(piece, holding: true)
        #expect(line.segmentsHeld == 1 && line.bytesCopied == 0)
        let pieces = line.take()
        #expect(pieces.first?.isAt(0, of: piece) == true && pieces.others.isEmpty)
        #expect(line.isEmpty && line.segmentsHeld == 0)
    }

    @Test func largePiecesAreHeld() {
        var line = UnfinishedLine()
        let segments = (0..<5).map { bytes(Self.small, from: $0) }
        for segment in segments { line.append(segment, holding: true) }
        #expect(line.segmentsHeld == 5 && line.bytesCopied == 0)
        let pieces = line.take()
        #expect(pieces.count == 5)
        #expect(zip(pieces.others, segments.dropFirst()).allSatisfy { $0.isAt(0, of: $1) })
    }

    @Test func whatMayNotBeHeldIsCopied() {
        var line = UnfinishedLine()
        let segments = [bytes(1), bytes(Self.small), bytes(10), bytes(3 * Self.small)]
        for segment in segments { line.append(segment, holding: false) }
        #expect(line.segmentsHeld == 0)
        let pieces = line.take()
        #expect(joined(pieces) == Bytes(segments.flatMap { Array($0) }))
        for piece in [pieces.first].compactMap({ $0 }) + pieces.others {
            for segment in segments { #expect(!piece.isWithin(segment)) }
        }
    }

    /// However a line is cut: the same bytes, few pieces, few copies.
    @Test(arguments: 0..<60 as Range<UInt64>)
    func boundsHoldForEveryCut(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let total = Int.random(in: 1...300_000, using: &random)
        let content = bytes(total)
        let sizes = [1...1, 1...100, 1...3000, 2000...2100, 1...100_000]
        var line = UnfinishedLine()
        var position = 0
        while position < total {
            let size = Int.random(in: sizes.randomElement(using: &random) ?? 1...1, using: &random)
            let end = min(total, position + size)
            line.append(content[position..<end], holding: Int.random(in: 0..<4, using: &random) > 0)
            position = end
            #expect(line.count == position, "seed \(seed)")
            #expect(line.pieceCount <= 2 + position / Self.small, "seed \(seed)")
            #expect(line.bytesCopied <= 2 * position, "seed \(seed)")
        }
        #expect(line.lastByte == content[total - 1])
        #expect(joined(line.take()) == content, "seed \(seed)")
    }

    @Test func oneByteAtATimeIsLinear() {
        let total = 1024 * 1024
        let content = bytes(total)
        var line = UnfinishedLine()
        for position in 0..<total { line.append(content[position..<(position + 1)], holding: true) }
        #expect(line.bytesCopied <= 2 * total)
        #expect(line.pieceCount <= 2 + total / Self.chunk)
        #expect(line.segmentsHeld == 1)
        #expect(joined(line.take()) == content)
    }
}
