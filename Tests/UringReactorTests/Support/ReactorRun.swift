import Testing

@testable import UringReactor

/// A reactor for one test: watched, and looked over when it has run.
struct ReactorRun {
    let reactor: Reactor
    private let reports: Reports

    final class Reports {
        var all: [ReactorReport] = []
    }

    init(
        _ configuration: ReactorConfiguration = ReactorConfiguration(), kernel: any Kernel = IOUringKernel()
    ) throws {
        var configuration = configuration
        let reports = Reports()
        configuration.onReport = { reports.all.append($0) }
        self.reports = reports
        reactor = try Reactor(configuration: configuration, kernel: kernel)
    }

    /// What had no callback to go to.
    var reported: [ReactorReport] { reports.all }

    /// A server on a reactor of the test; on loopback unless told.
    func server(
        on address: SocketAddress = .loopback(), _ configuration: ServerConfiguration = ServerConfiguration(),
        handler: @escaping (Connection) throws -> some ConnectionHandler
    ) throws -> Server {
        try Server(on: address, configuration: configuration, reactor: reactor, makeHandler: handler)
    }

    /// Runs until somebody stops it, and checks that nothing is left. Emulated kernels are slow: the watchdog is patient.
    @discardableResult
    func run(_ mode: Reactor.RunMode = .untilStopped) throws -> Statistics {
        let watchdog = reactor.after(.seconds(60)) { [reactor] in
            Issue.record("the reactor had to be stopped by the watchdog")
            reactor.stop()
        }
        _ = watchdog
        try reactor.run(mode)
        let statistics = reactor.statistics
        #expect(statistics.connections == 0)
        #expect(statistics.operations == 0)
        #expect(statistics.staleCompletions == 0)
        return statistics
    }

    /// Runs until `isOver` holds, which is looked at every millisecond.
    @discardableResult
    func run(stoppedBy isOver: @escaping () -> Bool) throws -> Statistics {
        func look() {
            if isOver() { return reactor.stop() }
            reactor.after(.milliseconds(1), look)
        }
        look()
        return try run()
    }
}
