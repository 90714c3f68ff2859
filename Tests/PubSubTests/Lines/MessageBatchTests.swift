@testable import PubSub
import Testing
import UringReactor

@Suite struct MessageBatchTests {
    @Test func wholeLinesAreOneSliceOfTheirSegment() throws {
        var reader = LineReader(limit: 100)
        let segment: Bytes = "one\ntwo\r\n\nfour\nrest"
        var rest = segment
        guard case .messages(let batch) = try reader.nextMessages(from: &rest, holding: true) else {
            Issue.record("no messages")
            return
        }
        #expect(batch.count == 4)
        #expect(batch.beginning.isEmpty)
        #expect(batch.lines == "one\ntwo\r\n\nfour\n" && batch.lines.isAt(0, of: segment))
        #expect(try reader.nextMessages(from: &rest, holding: true) == nil)
        #expect(rest.isEmpty && reader.unfinishedCount == 4)
    }

    @Test func aSplitLineTravelsWithTheLinesBehindIt() throws {
        var reader = LineReader(limit: 100)
        let first: Bytes = "begin"
        var rest = first
        #expect(try reader.nextMessages(from: &rest, holding: true) == nil)
        let second: Bytes = "ning\nnext\nBYE\nignored\n"
        rest = second
        guard case .messages(let batch) = try reader.nextMessages(from: &rest, holding: true) else {
            Issue.record("no messages")
            return
        }
        #expect(batch.count == 2)
        #expect(batch.beginning.first?.isAt(0, of: first) == true && batch.beginning.count == 1)
        #expect(batch.lines == "ning\nnext\n" && batch.lines.isAt(0, of: second))
        guard case .bye = try reader.nextMessages(from: &rest, holding: true) else {
            Issue.record("no BYE")
            return
        }
        #expect(rest == "ignored\n")
    }

    @Test func messagesBeforeALineThatIsTooLongComeFirst() throws {
        var reader = LineReader(limit: 3)
        var rest: Bytes = "abc\r\nabc\nabcd\nabc\n"
        guard case .messages(let batch) = try reader.nextMessages(from: &rest, holding: true) else {
            Issue.record("no messages")
            return
        }
        #expect(batch.count == 2 && batch.lines == "abc\r\nabc\n")
        #expect(throws: ProtocolError.lineTooLong(limit: 3)) { try reader.nextMessages(from: &rest, holding: true) }
        #expect(reader.unfinishedCount == 0)
    }
}

extension PublisherInput: Equatable {
    public static func == (left: PublisherInput, right: PublisherInput) -> Bool {
        switch (left, right) {
        case (.bye, .bye): true
        case (.messages(let left), .messages(let right)):
            left.count == right.count && left.beginning.joined(with: left.lines) == right.beginning.joined(with: right.lines)
        case (.bye, .messages), (.messages, .bye): false
        }
    }
}
