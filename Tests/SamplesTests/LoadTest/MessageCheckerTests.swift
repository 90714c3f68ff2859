import Testing
import UringReactor

@testable import samples

/// Test messages, and what is found when they are cut, changed, or none.
@Suite struct MessageCheckerTests {
    private static let run: UInt64 = 0x1234_5678_9a

    private static func head(_ sequence: UInt64, size: Int, time: UInt64 = 5_000_000_000) -> MessageHead {
        MessageHead(sequence: sequence, time: time, publisher: 77, size: UInt32(size))
    }

    private static func message(_ head: MessageHead) -> [UInt8] {
        var builder = BytesBuilder()
        TestMessage.append(head, run: run, to: &builder)
        return Array(builder.freeze())
    }

    /// What a checker finds in bytes that come in such pieces.
    private static func findings(_ bytes: [UInt8], piece: Int, run: UInt64 = run) -> [MessageChecker.Finding] {
        var checker = MessageChecker(run: run)
        var findings: [MessageChecker.Finding] = []
        for start in stride(from: 0, to: bytes.count, by: piece) {
            let segment = Bytes(bytes[start..<min(start + piece, bytes.count)])
            unsafe segment.withUnsafeBytes { memory in
                var position = 0
                while let finding = unsafe checker.next(in: memory, from: &position) { findings.append(finding) }
                #expect(position == memory.count)
            }
        }
        #expect(checker.isBetweenLines == (bytes.last == UInt8(ascii: "\n")))
        return findings
    }

    @Test(arguments: [0, 1, 0x0123_4567_89ab, 0xffff_ffff_ffff]) func wordsArePackedAndUnpacked(bits: UInt64) {
        let packed = MessageHead.pack(bits)
        #expect(MessageHead.unpack(packed) == bits)
        let characters = (0..<8).map { UInt8(truncatingIfNeeded: packed.littleEndian >> (8 * $0)) }
        #expect(characters.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "o")).contains($0) })
    }

    @Test func charactersOfNoWordAreFound() {
        let packed = MessageHead.pack(0x0123_4567_89ab)
        for place in 0..<8 {
            for character in UInt64(0)...255 where !(0x30...0x6f).contains(character) {
                let changed = packed & ~(0xff << (8 * place)) | character << (8 * place)
                #expect(MessageHead.unpack(changed) == nil)
            }
        }
    }

    @Test(arguments: [1, 2, 31, 32, 33, 34, 64, 1_000, 100_000])
    func messagesAreReadHoweverTheyAreCut(piece: Int) {
        let heads = [33, 34, 64, 128, 40_000, 33, 20_000].enumerated().map {
            MessageCheckerTests.head(UInt64($0), size: $1, time: UInt64($0) << 40)
        }
        let bytes = heads.flatMap { MessageCheckerTests.message($0) }
        #expect(bytes.count == heads.reduce(0) { $0 + Int($1.size) })
        #expect(bytes.count { $0 == UInt8(ascii: "\n") } == heads.count)
        #expect(MessageCheckerTests.findings(bytes, piece: piece) == heads.map { .message($0) })
    }

    /// Each byte of a message, changed to something else: it is found, and the next message is read again.
    @Test(arguments: [7, 1_000]) func everyChangedByteIsFound(piece: Int) {
        let heads = [MessageCheckerTests.head(1, size: 80), MessageCheckerTests.head(2, size: 60)]
        let bytes = heads.flatMap { MessageCheckerTests.message($0) }
        for place in 0..<79 {
            for flip in [UInt8(1), 0x80] where bytes[place] ^ flip != UInt8(ascii: "\n") {
                var changed = bytes
                changed[place] ^= flip
                let found = MessageCheckerTests.findings(changed, piece: piece)
                #expect(found.count == 2 && found.last == .message(heads[1]), "byte \(place)")
                if place < MessageHead.count {
                    guard case .other? = found.first else { return #expect(Bool(false), "byte \(place): \(found)") }
                } else {
                    #expect(found.first == .damaged(heads[0]), "byte \(place)")
                }
            }
        }
    }

    @Test(arguments: [7, 1_000]) func cutAndJoinedMessagesAreFound(piece: Int) {
        let (one, two, three) = (
            MessageCheckerTests.head(1, size: 80), MessageCheckerTests.head(2, size: 60),
            MessageCheckerTests.head(3, size: 33))
        let messages = [one, two, three].map { MessageCheckerTests.message($0) }
        // The end of the first is missing, and with it its line feed.
        let joined = messages[0][..<70] + messages[1] + messages[2]
        #expect(MessageCheckerTests.findings(Array(joined), piece: piece) == [.damaged(one), .message(three)])
        // Only its middle is missing.
        let cut = messages[0][..<50] + messages[0][60...] + messages[1]
        #expect(MessageCheckerTests.findings(Array(cut), piece: piece) == [.damaged(one), .message(two)])
        // A line in its middle.
        let split = messages[0][..<50] + [UInt8(ascii: "\n")] + messages[0][50...] + messages[2]
        let found = MessageCheckerTests.findings(Array(split), piece: piece)
        #expect(found.first == .damaged(one) && found.count == 3 && found.last == .message(three))
    }

    @Test(arguments: [1, 5, 1_000]) func otherLinesAreTold(piece: Int) {
        let head = MessageCheckerTests.head(9, size: 50)
        let text = "BYE\r\n\nERROR slow consumer\n" + String(repeating: "x", count: 500) + "\n"
        let bytes = Array(text.utf8) + MessageCheckerTests.message(head)
        let found = MessageCheckerTests.findings(bytes, piece: piece)
        let texts = found.dropLast().map { finding in
            if case .other(let line) = finding { String(decoding: line, as: UTF8.self) } else { "?" }
        }
        #expect(texts == ["BYE\r", "", "ERROR slow consumer", String(repeating: "x", count: MessageChecker.mostText)])
        #expect(found.last == .message(head))
    }

    @Test func messagesOfAnotherRunAreNotOurs() {
        let bytes = MessageCheckerTests.message(MessageCheckerTests.head(1, size: 64))
        let found = MessageCheckerTests.findings(bytes, piece: 100, run: 1)
        guard case .other? = found.first else { return #expect(Bool(false), "\(found)") }
    }

    /// A server that gives a message the payload of another one.
    @Test func exchangedPayloadsAreFound() {
        let (one, two) = (MessageCheckerTests.head(1, size: 64), MessageCheckerTests.head(2, size: 64))
        let bytes = MessageCheckerTests.message(one)[..<32] + MessageCheckerTests.message(two)[32...]
        #expect(MessageCheckerTests.findings(Array(bytes), piece: 100) == [.damaged(one)])
    }
}
