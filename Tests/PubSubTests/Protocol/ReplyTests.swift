@testable import PubSub
import Testing
import UringReactor

@Suite struct ReplyTests {
    @Test func lineIsWhatIsParsed() {
        for reply in [Reply.ok, .bye, .error(reason: "no \"such\" thing"), .error(reason: "")] {
            #expect(Reply(Line(reply.line)) == reply)
        }
        #expect(Reply.ok.line == "OK\r\n")
        #expect(Reply.bye.line == "BYE\r\n")
        #expect(Reply.error(reason: "why").line == "ERROR why\r\n")
        #expect(Reply(Line("ERROR\n")) == .error(reason: ""))
    }

    @Test(arguments: ["", "ok", "OK ", "OKAY", "ERRORS", "error x", " BYE", "hello"])
    func otherLinesAreNoReplies(text: String) {
        #expect(Reply(Line(Bytes(text + "\r\n"))) == nil)
    }

    @Test func aReasonCannotEndItsLine() {
        #expect(Reply.error(reason: "a\r\nOK\u{7f}ü").line == Bytes("ERROR a\\x0d\\x0aOK\\x7fü\r\n"))
    }

    @Test func reasonsAreOneShortLineOfPrintableASCII() {
        let nasty = Bytes((0..<1000).map { UInt8(truncatingIfNeeded: $0) })
        let echo = Escaping.echo(nasty)
        let errors: [ProtocolError] = [
            .lineTooLong(limit: .max), .emptyCommand, .unknownCommand(echo: echo), .missingChannelName,
            .channelNameTooLong(count: .max), .channelNameHasByte(0x0a, at: .max),
            .subscriberMayOnlyLeave(echo: echo), .tooManyChannels(limit: .max), .tooManySubscribers(limit: .max),
        ]
        for error in errors {
            #expect(!error.reason.isEmpty && error.reason.utf8.count <= 300)
            #expect(error.reason.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "\(error.reason)")
        }
    }

    @Test func echoIsCut() {
        #expect(Escaping.echo(Bytes(String(repeating: "x", count: 40))) == String(repeating: "x", count: 40))
        #expect(Escaping.echo(Bytes(String(repeating: "x", count: 41))) == String(repeating: "x", count: 40) + "...")
        #expect(Escaping.echo(Bytes([0, 0x1b, 0x5c, 0xff])) == "\\x00\\x1b\\\\\\xff")
    }
}
