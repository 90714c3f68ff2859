import Glibc
import SystemPackage
import Testing

@testable import UringReactor

/// Servers: where they listen, whom they turn away, and how they stop.
@Suite struct ServerTests {
    /// Echoes.
    private static func echo() -> Script {
        Script { event, connection in
            if case .received(let bytes) = event { connection.send(bytes) }
            return Script.usual(event, connection)
        }
    }

    // MARK: - Addresses

    @Test func listensOnIPv6() throws {
        let run = try ReactorRun()
        let server = try run.server(on: .loopbackV6()) { _ in ServerTests.echo().handler }
        #expect(server.address.family == .ipv6 && server.address.port != 0)
        let peer = try RawPeer(to: server.address)
        peer.send("six")
        peer.shutdownSending()
        try run.run(stoppedBy: { server.connectionCount == 0 && run.reactor.statistics.connectionsOpened == 1 })
        #expect(peer.receiveText() == "six")
    }

    @Test func listensOnAUnixSocketAndRemovesIt() throws {
        let path = "/tmp/uringreactor-test-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        let address = try SocketAddress.unix(path: path)
        let run = try ReactorRun()
        let server = try run.server(on: address) { _ in ServerTests.echo().handler }
        #expect(server.address.path == path)
        unsafe #expect(access(path, F_OK) == 0)
        let peer = try RawPeer(to: address)
        peer.send("local")
        peer.shutdownSending()
        server.whenStopped = { run.reactor.stop() }
        func look() {
            if run.reactor.statistics.connectionsOpened == 1, server.connectionCount == 0 { return server.stop() }
            run.reactor.after(.milliseconds(1), look)
        }
        look()
        try run.run()
        #expect(peer.receiveText() == "local")
        unsafe #expect(access(path, F_OK) != 0)
    }

    @Test func aSocketFileThatWasLeftCanBeReplaced() throws {
        let path = "/tmp/uringreactor-test-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        let address = try SocketAddress.unix(path: path)
        _ = try RawListener(on: address)
        let run = try ReactorRun()
        #expect(throws: IOError(.bind, .addressInUse, target: "unix:\(path)")) {
            try run.server(on: address) { _ in ServerTests.echo().handler }
        }
        var configuration = ServerConfiguration()
        configuration.replacesSocketFile = true
        let server = try run.server(on: address, configuration) { _ in ServerTests.echo().handler }
        let peer = try RawPeer(to: address)
        peer.shutdownSending()
        run.reactor.after(.zero) { server.stop() }
        server.whenStopped = { run.reactor.stop() }
        try run.run()
        unsafe #expect(access(path, F_OK) != 0)
    }

    @Test func severalMayListenOnOnePort() throws {
        var configuration = ServerConfiguration()
        configuration.reusePort = true
        let run = try ReactorRun()
        let first = try run.server(on: .loopback(), configuration) { _ in ServerTests.echo().handler }
        let second = try run.server(on: first.address, configuration) { _ in ServerTests.echo().handler }
        #expect(first.address == second.address)
        let error = IOError(.bind, .addressInUse, target: "\(first.address)")
        #expect(throws: error) { try run.server(on: first.address) { _ in ServerTests.echo().handler } }
        run.reactor.after(.zero) { run.reactor.stop() }
        try run.run()
    }

    // MARK: - Limits

    // The refused have sent something already: it must not turn what they are told into a reset.
    @Test func whoIsTooManyIsToldSo() throws {
        var configuration = ServerConfiguration()
        configuration.maximumConnections = 1
        configuration.refusal = "full\n"
        let run = try ReactorRun()
        let server = try run.server(on: .loopback(), configuration) { _ in ServerTests.echo().handler }
        let peers = try (0..<5).map { _ in try RawPeer(to: server.address) }
        for peer in peers { peer.send("hello") }
        try run.run(stoppedBy: {
            guard server.refusedConnections == 4, run.reactor.statistics.startedByKind[.receive] == 9 else { return false }
            peers[1].shutdownSending()
            return true
        })
        #expect(server.refusedConnections == 4)
        for peer in peers.dropFirst() {
            #expect(peer.receiveText() == "full\n")
        }
    }

    @Test func whoIsTooManyIsClosedWithoutAWord() throws {
        var configuration = ServerConfiguration()
        configuration.maximumConnections = 2
        let run = try ReactorRun()
        let server = try run.server(on: .loopback(), configuration) { _ in ServerTests.echo().handler }
        let peers = try (0..<5).map { _ in try RawPeer(to: server.address) }
        try run.run(stoppedBy: { server.refusedConnections == 3 })
        for peer in peers.dropFirst(2) { #expect(peer.receiveText() == "") }
    }

    @Test func aThousandAtOnce() throws {
        let run = try ReactorRun()
        let server = try run.server { _ in ServerTests.echo().handler }
        let count = Descriptors.limit(atLeast: 2500) ? 1000 : 200
        var done = 0
        var most = 0
        for number in 0..<count {
            let script = Script { event, connection in
                switch event {
                case .opened:
                    connection.send(Bytes("message \(number)\n"))
                    return .continue
                case .received(let bytes):
                    most = max(most, server.connectionCount)
                    guard bytes[bytes.count - 1] == UInt8(ascii: "\n") else { return .continue }
                    done += 1
                    // All stay until the last has its answer.
                    return .continue
                default: return .continue
                }
            }
            run.reactor.connect(to: server.address, handler: script.handler)
        }
        let statistics = try run.run(stoppedBy: { done == count })
        #expect(most == count)
        #expect(statistics.connectionsOpened == UInt64(count * 2))
    }

    // No descriptor is left: accepting pauses, does not spin, and goes on when one is there again.
    @Test func acceptingPausesWithoutDescriptors() async {
        await #expect(processExitsWith: .success) {
            var configuration = ReactorConfiguration()
            var reports: [String] = []
            configuration.onReport = { reports.append("\($0)") }
            let reactor = try Reactor(configuration: configuration)
            let script = Script()
            let server = try Server(on: .loopback(), reactor: reactor) { _ in script.handler }
            let peer = try RawPeer(to: server.address)
            // All that may still be opened is.
            var limit = rlimit(rlim_cur: 200, rlim_max: 200)
            try #require(unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
            var hogs: [Int32] = []
            while case let hog = dup(0), hog >= 0 { hogs.append(hog) }
            var turns: UInt64 = 0
            func whenPaused() {
                guard !reports.isEmpty else { return reactor.after(.milliseconds(1), whenPaused).ignore() }
                let before = reactor.statistics.turns
                reactor.after(.milliseconds(100)) {
                    turns = reactor.statistics.turns - before
                    try #require(server.connectionCount == 0)
                    for hog in hogs { close(hog) }
                    look()
                }
            }
            func look() {
                if script.seen == [.opened] { return reactor.stop() }
                reactor.after(.milliseconds(5), look)
            }
            whenPaused()
            reactor.after(.seconds(60)) { reactor.stop() }
            try reactor.run()
            withExtendedLifetime(peer) {}
            try #require(turns < 50)
            try #require(reports.count == 2)
            try #require(reports[0].contains("no descriptor left"))
            try #require(reports[1].contains("accepting again"))
        }
    }

    @Test func aServerStopsWhileAcceptingPauses() async {
        await #expect(processExitsWith: .success) {
            var configuration = ReactorConfiguration()
            configuration.onReport = { _ in }
            let reactor = try Reactor(configuration: configuration)
            let server = try Server(on: .loopback(), reactor: reactor) { _ in Script().handler }
            let peer = try RawPeer(to: server.address)
            var limit = rlimit(rlim_cur: 200, rlim_max: 200)
            try #require(unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
            while dup(0) >= 0 {}
            var hasStopped = false
            server.whenStopped = {
                hasStopped = true
                reactor.stop()
            }
            reactor.after(.milliseconds(30)) { server.stop() }
            reactor.after(.seconds(60)) { reactor.stop() }
            try reactor.run()
            withExtendedLifetime(peer) {}
            try #require(hasStopped)
        }
    }

    // MARK: - Stopping

    @Test func aServerWithItsOwnReactorEndsIt() throws {
        let server = try Server(on: .loopback()) { _ in ServerTests.echo().handler }
        let peer = try RawPeer(to: server.address)
        peer.send("x")
        peer.shutdownSending()
        func look() {
            if server.reactor.statistics.connectionsOpened == 1 { return server.stop() }
            server.reactor.after(.milliseconds(1), look)
        }
        look()
        try server.run()
        #expect(peer.receiveAll().count <= 1)
        #expect(throws: ReactorError.finished) { try server.run() }
    }

    @Test func aServerMayStopBeforeItRuns() throws {
        let server = try Server(on: .loopback()) { _ in ServerTests.echo().handler }
        server.stop()
        server.stop()
        try server.run()
    }

    @Test func aHandleStopsItFromAnotherThread() throws {
        let server = try Server(on: .loopback()) { _ in ServerTests.echo().handler }
        let handle = server.handle
        server.reactor.after(.zero) { Task.detached { handle.stop(); handle.stop() } }
        try server.run()
        handle.stop()
    }

    // Queued answers go out; the attached reactor goes on.
    @Test func stoppingLetsConnectionsFinish() throws {
        let script = Script { event, connection in
            if case .opened = event { connection.send(Bytes([UInt8](repeating: 7, count: 8 << 20))) }
            return .continue
        }
        let run = try ReactorRun()
        let server = try run.server { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        var got = 0
        var hasStopped = false
        server.whenStopped = {
            hasStopped = true
            run.reactor.after(.milliseconds(1)) { run.reactor.stop() }
        }
        func read() {
            if case .opened? = script.seen.first { server.stop() }
            while let bytes = peer.receive(upTo: 1 << 20, waits: false) {
                got += bytes.count
                if bytes.isEmpty { return peer.close() }
            }
            run.reactor.after(.milliseconds(1), read)
        }
        read()
        try run.run()
        #expect(hasStopped)
        #expect(got == 8 << 20)
        #expect(script.seen == [.opened, .closed(.closed)])
    }

    @Test func whoDoesNotFinishIsEnded() throws {
        var configuration = ServerConfiguration()
        configuration.drainTimeout = .milliseconds(10)
        let script = Script { event, connection in
            if case .opened = event { connection.send(Bytes([UInt8](repeating: 7, count: 16 << 20))) }
            return .continue
        }
        let run = try ReactorRun()
        let server = try run.server(on: .loopback(), configuration) { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        server.whenStopped = { run.reactor.stop() }
        func look() {
            if case .opened? = script.seen.first { return server.stop() }
            run.reactor.after(.milliseconds(1), look)
        }
        look()
        try run.run()
        withExtendedLifetime(peer) {}
        #expect(script.seen == [.opened, .closed(.closeTimedOut)])
    }

    // Also when it is the reactor that was stopped, it says so after its last connection.
    @Test func theReactorsEndStopsItsServers() throws {
        let script = Script()
        let run = try ReactorRun()
        let server = try run.server { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        var atTheEnd: (connections: Int, reason: CloseReason?)?
        server.whenStopped = { [unowned server] in atTheEnd = (server.connectionCount, script.reason) }
        try run.run(stoppedBy: { script.seen == [.opened] })
        withExtendedLifetime(peer) {}
        #expect(atTheEnd?.connections == 0)
        #expect(atTheEnd?.reason == .reactorStopped)
        #expect(run.reactor.servers.isEmpty)
    }

    // The connection that is being made is not forgotten.
    @Test func aServerMayBeStoppedWhileAHandlerIsMade() throws {
        var configuration = ServerConfiguration()
        configuration.drainTimeout = .seconds(50)
        let script = Script()
        let run = try ReactorRun()
        let box = Box<Server>()
        let server = try run.server(on: .loopback(), configuration) { _ in
            box.value?.stop()
            box.value = nil
            return script.handler
        }
        box.value = server
        let peer = try RawPeer(to: server.address)
        peer.shutdownSending()
        server.whenStopped = { run.reactor.stop() }
        try run.run()
        #expect(script.seen == [.opened, .closed(.closed)])
    }

    @Test func aHandlerThatCannotBeMadeClosesItsConnection() throws {
        let run = try ReactorRun()
        let server = try run.server { _ -> Script.Handler in throw Mishap() }
        let peer = try RawPeer(to: server.address)
        let statistics = try run.run(stoppedBy: { run.reactor.statistics.errorsThrown == 1 && server.connectionCount == 0 })
        #expect(peer.receiveText() == "")
        #expect(statistics.errorsThrown == 1)
        #expect(run.reported.count == 1)
    }
}
