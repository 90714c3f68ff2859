import Testing

@testable import UringReactor

/// A multishot timeout whose callback takes longer than its period: it has fired again, and is off the kernel's list,
/// whenever a cancel comes, so the cancel finds nothing.
@Suite struct SlowBeatTests {
    private static let period = Duration.milliseconds(2)

    /// Takes five periods, by the clock that the kernel measures them with.
    private func dawdle(_ reactor: Reactor) {
        let end = reactor.core.kernel.now() + 5 * Self.period.nanoseconds
        while reactor.core.kernel.now() < end {}
    }

    @Test func aCancelIsNotLost() throws {
        let reactor = try Reactor.quiet()
        var beats = 0
        var token = OperationToken.none
        token = reactor.every(Self.period) {
            dawdle(reactor)
            beats += 1
            #expect(reactor.cancel(token) == (beats == 1))
        }
        try reactor.runToIdle()
        #expect(beats == 1)
    }

    @Test func aStopEnds() throws {
        let reactor = try Reactor.quiet()
        var beats = 0
        reactor.every(Self.period) {
            dawdle(reactor)
            beats += 1
            reactor.stop()
        }
        try reactor.run()
        #expect(beats == 1)
        #expect(reactor.statistics.operations == 0)
    }

    /// In the kernel, a beat of a nanosecond would fire again before it was handed over.
    @Test func theShortestBeatStarvesNobody() throws {
        let reactor = try Reactor.quiet()
        var beats = 0
        reactor.every(.nanoseconds(1)) {
            beats += 1
            if beats == 100 { reactor.handle.stop() }
        }
        try reactor.run()
        #expect(beats >= 100)
    }

    @Test func endlessDurationsDoNotTrap() throws {
        #expect(Duration.seconds(1e19).nanoseconds == .max)
        #expect(Duration.seconds(-1e19).nanoseconds == 0)
        let reactor = try Reactor.quiet()
        let endless = reactor.after(.seconds(1e19)) { Issue.record("the end of time") }
        reactor.after(.milliseconds(1)) { reactor.cancel(endless) }
        try reactor.runToIdle()
    }
}
