@testable import PubSub
import Testing
import UringReactor

@Suite struct LineTests {
    @Test(arguments: [
        ("a\n", "a", "\n"), ("a\r\n", "a", "\r\n"), ("\n", "", "\n"), ("\r\n", "", "\r\n"), ("", "", ""),
        ("a", "a", ""), ("a\r", "a\r", ""), ("a\r\r\n", "a\r", "\r\n"), ("\r\r\n", "\r", "\r\n"),
    ])
    func endingIsCRLFOrLF(text: String, content: String, ending: String) {
        let line = Line(Bytes(text))
        #expect(line.content == Bytes(content))
        #expect(line.ending == Bytes(ending))
        #expect(line.contentCount == content.utf8.count)
    }

    @Test func byeIsExactlyBye() {
        for text in ["BYE\n", "BYE\r\n"] { #expect(Line(Bytes(text)).isBye) }
        for text in ["BYEx\n", " BYE\n", "bye\n", "BYE \n", "BYE\r\r\n", "BY\n", "\n"] {
            #expect(!Line(Bytes(text)).isBye, "\(text.debugDescription)")
        }
    }
}
