import Testing

@testable import benchmark

@Suite struct TextTests {
    @Test(arguments: [
        (0, "0"), (0.01234, "0.0123"), (0.5, "0.500"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"),
        (12_345, "12,345"), (1_234_567, "1,234,567"),
        (999.6, "1,000"), (9.996, "10.0"), (0.9996, "1.00"), (1000, "1,000"), (100, "100"), (0.1, "0.100"), (1, "1.00"),
    ])
    func figures(_ value: Double, _ text: String) {
        #expect(Format.figure(value) == text)
    }

    @Test func whatIsNotKnownIsADash() {
        #expect(Format.figure(nil) == "–")
        #expect(Format.count(nil) == "–")
        #expect(Format.ratio(nil) == "–")
    }

    @Test(arguments: [(950, "950"), (9000, "9,000"), (12_300, "12.3 k"), (1_230_000, "1.23 M"), (999_900, "1.00 M")])
    func counts(_ value: Double, _ text: String) {
        #expect(Format.count(value) == text)
    }

    @Test func sizesInNames() {
        #expect(Format.size(64) == "64B")
        #expect(Format.size(4096) == "4KiB")
        #expect(Format.size(1 << 20) == "1MiB")
        #expect(Format.size(1500) == "1500B")
    }

    @Test func times() {
        #expect(Format.time(7) == "0:07")
        #expect(Format.time(754.4) == "12:34")
    }

    @Test func aTableIsReadableAsItIs() {
        var table = MarkdownTable([("server", .left), ("ns", .right)])
        table.add(["ours", "9"])
        table.add(["a|b", "1,234"])
        table.add(["x"])
        #expect(
            table.text == """
                | server |    ns |
                | ------ | ----: |
                | ours   |     9 |
                | a\\|b   | 1,234 |
                | x      |       |

                """)
    }
}
