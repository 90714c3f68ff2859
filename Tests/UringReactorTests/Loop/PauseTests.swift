import SystemPackage
import Testing

@testable import UringReactor

@Suite struct PauseTests {
    @Test func whatIsInFlightGoesOnLater() throws {
        let reactor = try Reactor()
        var ticks = 0
        reactor.every(.milliseconds(1)) {
            ticks += 1
            reactor.pause()
        }
        for turn in 1...3 {
            try reactor.run()
            #expect(ticks == turn)
            #expect(reactor.isPaused)
            #expect(!reactor.isStopping)
            #expect(Reactor.current === reactor)
        }
        reactor.stop()
        try reactor.run()
        #expect(!reactor.isPaused)
        #expect(Reactor.current == nil)
        #expect(reactor.statistics.operations == 0)
        #expect(throws: ReactorError.finished) { try reactor.run() }
    }

    @Test func beforeItRunsItReturnsAtOnce() throws {
        let reactor = try Reactor()
        var isCalled = false
        reactor.nop { _ in isCalled = true }
        reactor.pause()
        try reactor.run()
        #expect(reactor.isPaused)
        #expect(!isCalled)
        try reactor.run(.untilIdle)
        #expect(isCalled)
    }

    /// Stopping comes first, and a reactor that stops does not pause.
    @Test func stoppingIsNotPaused() throws {
        let reactor = try Reactor()
        var error: IOError?
        reactor.after(.seconds(60)) {}
        reactor.nop { _ in
            reactor.pause()
            reactor.stop()
        }
        let pipe = try FileDescriptor.pipe()
        reactor.poll(pipe.readEnd, for: .readable) { result in
            if case .failure(let failure) = result { error = failure }
            reactor.pause()
        }
        try reactor.run()
        #expect(!reactor.isPaused)
        #expect(error?.errno == .canceled)
        try pipe.readEnd.close()
        try pipe.writeEnd.close()
    }

    @Test func aConnectionOutlivesAPause() throws {
        let reactor = try Reactor()
        let server = try Server(on: .loopback(), reactor: reactor) { connection in
            connection.receiveLine { result in
                if let line = try result.get() { connection.send([line, "\n"]) }
                connection.close()
            }
        }
        var client: Connection?
        reactor.connect(to: server.address) {
            client = try $0.get()
            reactor.pause()
        }
        try reactor.run()
        // While it is paused, it is used as from within a handler.
        let connection = try #require(client)
        var answer: Bytes?
        connection.send("over there\n")
        connection.receiveLine {
            answer = try $0.get()
            reactor.stop()
        }
        try reactor.run()
        #expect(answer == "over there")
    }

    @Test func postsWakeNobodyAndAreKept() throws {
        let reactor = try Reactor()
        reactor.pause()
        try reactor.run()
        nonisolated(unsafe) var isCalled = false // Only on this thread.
        reactor.handle.post { unsafe isCalled = true }
        #expect(unsafe !isCalled)
        reactor.handle.stop()
        try reactor.run()
        #expect(unsafe isCalled)
    }

    @Test func anotherReactorRunsMeanwhile() throws {
        let first = try Reactor()
        let second = try Reactor()
        first.pause()
        try first.run()
        second.after(.zero) { #expect(Reactor.current === second) }
        try second.run(.untilIdle)
        #expect(Reactor.current == nil)
        first.stop()
        try first.run()
    }
}
