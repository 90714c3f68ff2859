import ReactorTesting
import Testing

@testable import samples

/// How sizes are written, and what is drawn from them.
@Suite struct MessageSizeTests {
    @Test func threeForms() throws {
        #expect(try MessageSize("128") == .fixed(128))
        #expect(try MessageSize("64-4096") == .range(64...4096))
        let weighted = try MessageSize("64:90,4096:9,1048576:1")
        #expect(
            weighted
                == .weighted([.init(size: 64, weight: 90), .init(size: 4096, weight: 9), .init(size: 1 << 20, weight: 1)]))
        #expect(weighted.largest == 1 << 20)
    }

    @Test(arguments: ["128", "64-4096", "64:90,4096:9"]) func itIsShownAsItIsWritten(text: String) throws {
        #expect("\(try MessageSize(text))" == text)
    }

    @Test(arguments: [
        "", "x", "-1", "1-", "-", "9-8", "1-2-3", "64:", ":1", "64:0", "64:1,", "64:1:2", "64,65", "16777216", "1e3", "32",
        "32-64", "32:1",
    ])
    func otherFormsAreRefused(text: String) {
        #expect(throws: MessageSize.Malformed.self) { try MessageSize(text, smallest: 33) }
    }

    @Test func theSameSeedDrawsTheSame() throws {
        let size = try MessageSize("33-100000")
        func draw(_ seed: UInt64) -> [Int] {
            var random = SplitMix64(seed: seed)
            return (0..<100).map { _ in size.draw(from: &random) }
        }
        #expect(draw(1) == draw(1))
        #expect(draw(1) != draw(2))
        #expect(draw(3).allSatisfy { (33...100_000).contains($0) })
    }

    @Test func weightsAreKept() throws {
        let size = try MessageSize("64:3,128:1")
        var random = SplitMix64(seed: 1)
        let small = (0..<4_000).count { _ in size.draw(from: &random) == 64 }
        #expect((2_800...3_200).contains(small))
    }
}
