import UringReactor

/// What a load generator looks at while it runs: the progress line, and what both processes use.
final class LoadMeasurement {
    private let server: ServerUnderTest
    private let reactor: Reactor
    private let progress = ProgressLine()
    private var timeBefore = ProcessCounters.ofThisProcess()
    private var entersBefore: UInt64 = 0
    private var ourTime: ProcessCounters?
    private var serverTime: ProcessCounters?
    private var enters: UInt64?

    init(of server: ServerUnderTest, on reactor: Reactor) {
        self.server = server
        self.reactor = reactor
    }

    /// From now on it counts.
    func begin() {
        server.beginMeasuring()
        timeBefore = .ofThisProcess()
        entersBefore = reactor.statistics.enters
    }

    /// See ``ProgressLine/show(_:at:_:)``.
    func show(_ share: Double, at time: UInt64, _ text: @autoclosure () -> String) {
        progress.show(share, at: time, text())
    }

    /// What follows does not count.
    func end() {
        ourTime = .ofThisProcess() - timeBefore
        serverTime = server.timeUsed()
        enters = reactor.statistics.enters - entersBefore
        progress.clear()
    }

    /// Ends the server, if it was started for this, and adds what is known of both processes to a report.
    func fill(_ report: inout LoadReport) throws {
        report.ourTime = ourTime
        report.serverTime = serverTime
        report.ourSystemCalls = enters
        guard let end = try server.end() else { return }
        report.serverSystemCalls = end.systemCalls
        if let failure = end.failure { report.failures.append(failure) }
    }
}
