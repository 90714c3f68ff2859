import Testing
import UringReactor

extension Reactor {
    /// A reactor whose reports fail the test.
    static func watched(_ configure: (inout ReactorConfiguration) -> Void = { _ in }) throws -> Reactor {
        var configuration = ReactorConfiguration()
        configuration.onReport = { report in
            Issue.record("\(report)")
            Reactor.current?.stop()
        }
        configure(&configuration)
        return try Reactor(configuration: configuration)
    }

    /// Runs until somebody stops it, and checks that nothing is left.
    func runWatched() throws {
        after(.seconds(300)) { [unowned self] in
            Issue.record("stopped by the watchdog: \(self.statistics)")
            stop()
        }
        try run()
        #expect(statistics.connections == 0)
        #expect(statistics.operations == 0)
        #expect(statistics.staleCompletions == 0)
    }
}
