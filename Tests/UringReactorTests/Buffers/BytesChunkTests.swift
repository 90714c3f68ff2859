import Testing

@testable import UringReactor

@Suite struct BytesChunkTests {
    @Test func whatIsAppendedLiesSideBySide() {
        let chunk = BytesChunk(capacity: 10)
        let first = chunk.append("abc")
        let second = chunk.append("defg")
        #expect(chunk.room == 3)
        #expect(first == "abc" && second == "defg")
        #expect(first.joined(to: second) == "abcdefg")
        #expect(chunk.append("hij") == "hij")
        #expect(chunk.room == 0)
        #expect(first == "abc" && second == "defg")
    }

    @Test func slicesOutliveTheChunk() {
        var chunk: BytesChunk? = BytesChunk(capacity: 3)
        let slice = chunk?.append("abc")
        chunk = nil
        #expect(slice == "abc")
    }

    @Test func moreThanThereIsRoomForTraps() async {
        await #expect(processExitsWith: .failure) {
            _ = BytesChunk(capacity: 2).append("abc")
        }
    }
}
