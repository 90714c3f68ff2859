@testable import PubSub
import Testing
import UringReactor

@Suite struct LineReaderTests {
    /// All lines of `segments`, and the error that ended them.
    private func read(_ segments: [String], limit: Int = 100) -> (lines: [Bytes], error: ProtocolError?, left: Int) {
        var reader = LineReader(limit: limit)
        var lines: [Bytes] = []
        do throws(ProtocolError) {
            for segment in segments {
                var rest = Bytes(segment)
                while let line = try reader.next(from: &rest) { lines.append(line.bytes) }
                #expect(rest.isEmpty)
            }
        } catch {
            return (lines, error, reader.unfinishedCount)
        }
        return (lines, nil, reader.unfinishedCount)
    }

    @Test func cutsLinesAndKeepsTheRest() {
        let (lines, error, left) = read(["a\nb\r\n\n\r\nc"])
        #expect(lines == ["a\n", "b\r\n", "\n", "\r\n"])
        #expect(error == nil)
        #expect(left == 1)
    }

    @Test func everyCutGivesTheSameLines() {
        let text = Array("a\r\n\r\r\n\nlonger\n".utf8)
        let whole = read([String(decoding: text, as: UTF8.self)])
        for first in 0...text.count {
            for second in first...text.count {
                let cuts = [text[..<first], text[first..<second], text[second...]]
                let cut = read(cuts.map { String(decoding: $0, as: UTF8.self) })
                #expect(cut.lines == whole.lines, "cut at \(first) and \(second)")
            }
        }
    }

    @Test func aLineWithinASegmentSharesItsMemory() throws {
        var reader = LineReader(limit: 100)
        let segment: Bytes = "one\ntwo\n"
        var rest = segment
        let line = try #require(try reader.next(from: &rest))
        #expect(line.bytes.isAt(0, of: segment))
    }

    @Test(arguments: ["\n", "\r\n"])
    func limitIsExact(ending: String) {
        for size in 0...12 {
            let line = String(repeating: "x", count: size) + ending
            for cut in 0...line.utf8.count {
                let text = Array(line.utf8)
                let segments = [text[..<cut], text[cut...]].map { String(decoding: $0, as: UTF8.self) }
                let (lines, error, left) = read(segments, limit: 10)
                #expect(lines.count == (size <= 10 ? 1 : 0), "\(size) bytes cut at \(cut)")
                #expect(error == (size <= 10 ? nil : .lineTooLong(limit: 10)), "\(size) bytes cut at \(cut)")
                #expect(left <= 11)
            }
        }
    }

    @Test func aCRThatEndsNothingCounts() {
        #expect(read(["xxxxxxxxxx\r", "\n"], limit: 10).lines.count == 1)
        #expect(read(["xxxxxxxxxx\r", "x"], limit: 10).error == .lineTooLong(limit: 10))
        #expect(read(["xxxxxxxxxx\r", "\r"], limit: 10).error == .lineTooLong(limit: 10))
        #expect(read(["xxxxxxxxx\r", "\r\n"], limit: 10).lines.count == 1)
    }

    @Test func nothingOverTheLimitIsStored() {
        let (_, error, left) = read(["xxxxx", String(repeating: "x", count: 1000)], limit: 10)
        #expect(error == .lineTooLong(limit: 10))
        #expect(left == 5)
    }

    @Test func limitZeroAllowsEmptyLines() {
        #expect(read(["\n", "\r", "\n"], limit: 0).lines == ["\n", "\r\n"])
        #expect(read(["x"], limit: 0).error == .lineTooLong(limit: 0))
    }
}
