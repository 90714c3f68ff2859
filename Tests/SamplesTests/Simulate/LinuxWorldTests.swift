import ReactorTesting
import Testing
import UringReactor

@testable import samples

/// Far ends on real sockets, and when a run over them goes on.
@Suite struct LinuxWorldTests {
    private func makeWorld() throws -> LinuxWorld {
        var random = SplitMix64(seed: 1)
        return try LinuxWorld(reactor: ReactorConfiguration(), buffers: LinuxWorld.Buffers(drawnFrom: &random))
    }

    @Test func theLibraryConnectsToAFarEnd() throws {
        let world = try makeWorld()
        var heard: [String] = []
        var answer: String?
        let address = try world.listen { end in
            end.onReceive = { [unowned end] in
                heard.append(String($0))
                end.send("pong\r\n")
                end.shutdown()
            }
            end.onEnd = { [unowned end] in heard.append("end \(end.sawEnd)") }
        }
        world.reactor.connect(to: address) { result in
            let connection = try result.get()
            connection.send("ping")
            connection.receiveLine { line in
                answer = try line.get().map { String($0) }
                connection.close()
            }
        }
        try world.run(isStill: { heard.count == 2 && world.reactor.statistics.connections == 0 }) {
            world.reactor.stop()
            return true
        }
        #expect(heard == ["ping", "end true"])
        #expect(answer == "pong")
        #expect(world.failures.isEmpty)
    }

    @Test func itWaitsForStepsAndForWhatTheWorkloadWaitsFor() throws {
        let world = try makeWorld()
        var log: [String] = []
        var looks = 0
        world.schedule(after: .milliseconds(15)) {
            log.append("step")
            world.schedule(after: .milliseconds(15)) { log.append("another") }
        }
        let isStill = {
            looks += 1
            return looks > 3
        }
        try world.run(isStill: isStill) {
            log.append("standstill")
            world.reactor.stop()
            return true
        }
        #expect(log == ["step", "another", "standstill"])
        #expect(looks == 4)
    }

    /// What a script sees: bytes that wait while it pauses, and an end only behind them.
    @Test func aFarEndThatPauses() throws {
        let world = try makeWorld()
        let server = try Server(on: .loopback(), reactor: world.reactor) { connection in
            connection.send("0123456789")
            connection.shutdownSending()
            connection.receive { _ in connection.close() }
        }
        let end = try world.connect(to: server.address)
        var heard: [String] = []
        end.onReceive = { heard.append(String($0)) }
        end.onEnd = { heard.append("end") }
        end.pauseReading()
        var stage = 0
        try world.run(isStill: { stage == 0 ? world.reactor.statistics.bytesSent == 10 : heard.last == "end" }) {
            stage += 1
            guard stage == 1 else {
                world.reactor.stop()
                return true
            }
            #expect(heard.isEmpty && !end.sawEnd)
            end.read(upTo: 4)
            #expect(heard == ["0123"] && !end.sawEnd)
            end.resumeReading()
            return true
        }
        #expect(heard == ["0123", "456789", "end"])
        #expect(end.sawEnd && end.isOpen)
        end.reset()
        #expect(!end.isOpen && !end.sawEnd)
    }
}
