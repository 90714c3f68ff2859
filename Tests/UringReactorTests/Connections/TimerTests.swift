import Testing

@testable import UringReactor

/// Deadlines and idle timeouts of connections.
@Suite struct ConnectionTimerTests {
    @Test func idleComesAgainAndAgain() throws {
        var count = 0
        var options = ConnectionOptions()
        options.idleTimeout = .milliseconds(2)
        options.lingerTimeout = .zero
        let script = Script { event, _ in
            guard case .timedOut = event else { return .continue }
            count += 1
            return count == 3 ? .close : .continue
        }
        let run = try ReactorRun()
        let listener = try RawListener()
        run.reactor.connect(to: listener.address, options: options, handler: script.handler)
        try run.run(stoppedBy: { script.reason != nil })
        #expect(script.seen == [.opened, .timedOut, .timedOut, .timedOut, .closed(.idle)])
    }

    @Test(arguments: [NextStep.close, .abort]) func theDeadlineIsToldOnce(step: NextStep) throws {
        var options = ConnectionOptions()
        options.lingerTimeout = .zero
        let script = Script { event, connection in
            switch event {
            case .opened:
                connection.setDeadline(after: .seconds(50))
                connection.setDeadline(after: .milliseconds(1))
                return .continue
            case .timedOut: return step
            default: return .continue
            }
        }
        let run = try ReactorRun()
        let listener = try RawListener()
        run.reactor.connect(to: listener.address, options: options, handler: script.handler)
        try run.run(stoppedBy: { script.reason != nil })
        #expect(script.seen == [.opened, .timedOut, .closed(.deadline)])
    }

    @Test func aDeadlineCanBeTakenBack() throws {
        var hasPassed = false
        let run = try ReactorRun()
        let script = Script { event, connection in
            if case .opened = event {
                connection.setDeadline(after: .milliseconds(1))
                connection.setDeadline(after: nil)
                run.reactor.after(.milliseconds(2)) { hasPassed = true }
            }
            return .continue
        }
        let listener = try RawListener()
        run.reactor.connect(to: listener.address, handler: script.handler)
        try run.run(stoppedBy: { script.seen.count == 1 && hasPassed })
        #expect(script.seen == [.opened, .closed(.reactorStopped)])
    }

    // A deadline for each request beside an idle timeout: the queue must not grow with the number of requests.
    @Test(arguments: [Duration.milliseconds(20), .seconds(50)]) func deadlinesLeaveNothingBehind(idle: Duration) throws {
        var options = ConnectionOptions()
        options.idleTimeout = idle
        var most = 0
        let run = try ReactorRun()
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            var rounds = 0
            func request() {
                rounds += 1
                most = max(most, run.reactor.core.timers.count)
                if rounds == 200 { return connection.abort() }
                connection.setDeadline(after: .milliseconds(1))
                run.reactor.after(.milliseconds(2), request)
            }
            request()
            return .continue
        }
        let listener = try RawListener()
        run.reactor.connect(to: listener.address, options: options, handler: script.handler)
        try run.run(stoppedBy: { script.reason != nil })
        #expect(script.reason == .aborted)
        // The test's own three, two of the connection, and few that were overtaken and are not due yet.
        #expect(most < 20)
    }

    // What is set up before the reactor runs counts from then, not from when the reactor was made.
    @Test func aDelayBeginsWhenItIsAskedFor() throws {
        let run = try ReactorRun()
        let kernel = IOUringKernel()
        let made = kernel.now()
        while kernel.now() < made + 20_000_000 {}
        let asked = kernel.now()
        var due: UInt64 = 0
        run.reactor.after(.milliseconds(20)) { due = kernel.now() }
        try run.run(stoppedBy: { due != 0 })
        #expect(due >= asked + 20_000_000)
    }
}
