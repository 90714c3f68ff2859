@testable import PubSub
import Testing
import UringReactor

@Suite struct CommandTests {
    @Test func parsesEveryVerbWithEitherEnding() throws {
        for ending in ["\n", "\r\n"] {
            #expect(try Command(Line(Bytes("PUBLISH ch\(ending)"))) == .publish(channel("ch")))
            #expect(try Command(Line(Bytes("SUBSCRIBE ch\(ending)"))) == .subscribe(channel("ch")))
            #expect(try Command(Line(Bytes("BYE\(ending)"))) == .bye)
        }
    }

    @Test func refusesEverythingElse() {
        func error(_ text: String) -> ProtocolError? {
            do throws(ProtocolError) {
                _ = try Command(Line(Bytes(text)))
                return nil
            } catch {
                return error
            }
        }
        #expect(error("\r\n") == .emptyCommand)
        #expect(error("publish ch\n") == .unknownCommand(echo: "publish ch"))
        #expect(error("PUBLISHch\n") == .unknownCommand(echo: "PUBLISHch"))
        #expect(error(" PUBLISH ch\n") == .unknownCommand(echo: " PUBLISH ch"))
        #expect(error("bye\n") == .unknownCommand(echo: "bye"))
        #expect(error("BYE ch\n") == .unknownCommand(echo: "BYE ch"))
        #expect(error("PUBLISH\tch\n") == .unknownCommand(echo: "PUBLISH\\x09ch"))
        #expect(error("PUBLISH\n") == .missingChannelName)
        #expect(error("SUBSCRIBE \n") == .missingChannelName)
        #expect(error("PUBLISH  ch\n") == .channelNameHasByte(0x20, at: 0))
        #expect(error("PUBLISH ch \n") == .channelNameHasByte(0x20, at: 2))
        #expect(error("PUBLISH c h\n") == .channelNameHasByte(0x20, at: 1))
        #expect(error("SUBSCRIBE ch\r\r\n") == .channelNameHasByte(0x0d, at: 2))
    }

    @Test func lineIsWhatIsParsed() throws {
        for command in try [Command.publish(channel("ch")), .subscribe(channel("größe")), .bye] {
            #expect(try Command(Line(command.line)) == command)
        }
        #expect(try Command.publish(channel("ch")).line == "PUBLISH ch\r\n")
        #expect(Command.bye.line == "BYE\r\n")
    }

    @Test func longestIsTheLongest() throws {
        let longest = try Command.subscribe(channel(String(repeating: "c", count: 255)))
        #expect(Line(longest.line).contentCount == Command.longest)
        #expect(Command.longest == 265)
    }
}
