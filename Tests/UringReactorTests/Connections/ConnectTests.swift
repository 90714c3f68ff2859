import Glibc
import SystemPackage
import Testing

@testable import UringReactor

/// Connects: those that fail, and those that are given up.
@Suite struct ConnectTests {
    /// An address where nobody listens any more.
    private func deserted() throws -> SocketAddress { try RawListener().address }

    /// A listener whose backlog is full: it answers no further connect.
    private func silent() throws -> (RawListener, [RawPeer]) {
        let listener = try RawListener(backlog: 0)
        return (listener, [try RawPeer(to: listener.address)])
    }

    @Test func nobodyListens() throws {
        let run = try ReactorRun()
        let script = Script()
        let address = try deserted()
        let error = IOError(.connect, .connectionRefused, target: "\(address)")
        var failure: IOError?
        run.reactor.connect(to: address, handler: script.handler)
        run.reactor.connect(to: address) { (result: Result<Connection, IOError>) in
            if case .failure(let error) = result { failure = error }
        }
        try run.run(stoppedBy: { script.reason != nil && failure != nil })
        #expect(script.seen == [.closed(.connectFailed(error))])
        #expect(failure == error)
    }

    @Test func noAnswerInTime() throws {
        let run = try ReactorRun()
        let script = Script()
        let (listener, peers) = try silent()
        var failure: IOError?
        run.reactor.connect(to: listener.address, timeout: .milliseconds(5), handler: script.handler)
        run.reactor.connect(to: listener.address, timeout: .milliseconds(5)) { (result: Result<Connection, IOError>) in
            if case .failure(let error) = result { failure = error }
        }
        try run.run(stoppedBy: { script.reason != nil && failure != nil })
        withExtendedLifetime(peers) {}
        let error = IOError(.connect, .timedOut, target: "\(listener.address)")
        #expect(script.seen == [.closed(.connectFailed(error))])
        #expect(failure == error)
    }

    @Test(arguments: [false, true]) func closedBeforeItIsOpen(aborts: Bool) throws {
        let run = try ReactorRun()
        let script = Script()
        let (listener, peers) = try silent()
        var errno: Errno?
        let connections = [
            run.reactor.connect(to: listener.address, handler: script.handler),
            run.reactor.connect(to: listener.address) { (result: Result<Connection, IOError>) in
                if case .failure(let error) = result { errno = error.errno }
            },
        ]
        run.reactor.after(.milliseconds(2)) {
            for connection in connections {
                #expect(!connection.isOpen)
                #expect(connection.send("too early") == .refused)
                if aborts { connection.abort() } else { connection.close() }
            }
        }
        try run.run(stoppedBy: { script.reason != nil && errno != nil })
        withExtendedLifetime(peers) {}
        #expect(script.seen == [.closed(aborts ? .aborted : .closed)])
        #expect(errno == .canceled)
    }

    @Test func theReactorStopsBeforeItIsOpen() throws {
        let run = try ReactorRun()
        let script = Script()
        let (listener, peers) = try silent()
        run.reactor.connect(to: listener.address, handler: script.handler)
        run.reactor.after(.milliseconds(2)) { run.reactor.stop() }
        try run.run()
        withExtendedLifetime(peers) {}
        #expect(script.seen == [.closed(.reactorStopped)])
    }

    @Test func whatIsStartedAfterTheStopFails() throws {
        let run = try ReactorRun()
        let listener = try RawListener()
        var errno: Errno?
        let script = Script { event, _ in
            guard case .closed = event else { return .continue }
            run.reactor.connect(to: listener.address) { (result: Result<Connection, IOError>) in
                if case .failure(let error) = result { errno = error.errno }
            }
            return .continue
        }
        run.reactor.connect(to: listener.address, handler: script.handler)
        run.reactor.after(.milliseconds(2)) { run.reactor.stop() }
        try run.run()
        #expect(errno == .canceled)
    }

    @Test func moreThanThereMayBe() throws {
        var configuration = ReactorConfiguration()
        configuration.maximumConnections = 1
        let run = try ReactorRun(configuration)
        let listener = try RawListener()
        let first = Script()
        let second = Script { event, connection in
            // A handle of nothing: harmless.
            connection.close()
            #expect(connection.send("x") == .refused)
            return .continue
        }
        run.reactor.connect(to: listener.address, handler: first.handler)
        run.reactor.connect(to: listener.address, handler: second.handler)
        try run.run(stoppedBy: { second.reason != nil })
        #expect(second.seen == [.closed(.connectFailed(IOError(.connect, .noBufferSpace, target: "\(listener.address)")))])
    }

    // Descriptors of connects that never came to run are closed with their reactor.
    @Test func aReactorThatNeverRanLeaksNothing() async {
        await #expect(processExitsWith: .success) {
            let before = Descriptors.count
            for _ in 0..<50 {
                let reactor = try Reactor()
                reactor.connect(to: .loopback(port: 9), handler: Script().handler)
            }
            // Whoever runs the test may open a few of its own meanwhile.
            try #require(Descriptors.count < before + 25)
        }
    }
}

/// The process's open descriptors. Only where nothing else runs: in an exit test.
enum Descriptors {
    static var count: Int { (0..<4096).count { fcntl(Int32($0), F_GETFD) >= 0 } }

    /// Whether so many may be open.
    static func limit(atLeast count: Int) -> Bool { sysconf(Int32(_SC_OPEN_MAX)) >= count }
}
