@testable import PubSub
import Testing
import UringReactor

@Suite struct ChannelNameTests {
    @Test func lengthIs1To255() throws {
        #expect(throws: ProtocolError.missingChannelName) { try ChannelName("") }
        #expect(try ChannelName("c").bytes == "c")
        #expect(try ChannelName(String(repeating: "c", count: 255)).bytes.count == 255)
        #expect(throws: ProtocolError.channelNameTooLong(count: 256)) {
            try ChannelName(String(repeating: "c", count: 256))
        }
    }

    @Test func everyByteIsAllowedOrNot() {
        for byte in UInt8.min...UInt8.max {
            let name = Bytes([0x61, byte])
            if byte <= 0x20 || byte == 0x7f {
                #expect(throws: ProtocolError.channelNameHasByte(byte, at: 1)) { try ChannelName(name) }
            } else {
                #expect((try? ChannelName(name))?.bytes == name, "byte \(byte)")
            }
        }
    }

    @Test func isAValue() throws {
        #expect(try channel("a") == channel("a"))
        #expect(try Set([channel("a"), channel("b"), channel("a")]).count == 2)
        #expect(try channel("a") < channel("ab"))
        #expect(try channel("größe").description == "größe")
        #expect(try ChannelName(Bytes([0x61, 0xff, 0x5c])).debugDescription == "a\\xff\\\\")
    }
}
