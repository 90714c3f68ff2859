import ArgumentParser
import Glibc
import UringReactor

/// Where the server is that a load generator talks to.
struct TargetOptions: ParsableArguments {
    @Option(help: "The server's name or address.")
    var host = "127.0.0.1"

    @Option(help: "The server's port.")
    var port: UInt16?

    @Option(
        name: .customLong("unix"),
        help: ArgumentHelp("The server's Unix socket, instead; with --self, where it shall listen.", valueName: "path"))
    var unixPath: String?

    @Flag(
        name: .customLong("self"), help: "Start the server of these samples in a second process, and end it at the end.")
    var startsServer = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "With --self: further options of that server, in one word, such as --server-options \"--batching 8\".",
            valueName: "options"))
    var serverOptions: String?

    @Option(
        help: ArgumentHelp("The process of a server on this machine, to report its CPU time.", valueName: "pid"))
    var serverPid: Int32?

    func validate() throws {
        guard startsServer ? port == nil : (port == nil) != (unixPath == nil) else {
            throw ValidationError(
                "say where the server is: --port, --unix, or --self to start one, which chooses its own port")
        }
        guard serverOptions == nil || startsServer else { throw ValidationError("--server-options needs --self") }
        guard serverPid == nil || !startsServer else { throw ValidationError("--self knows its --server-pid") }
        if let serverPid, ProcessCounters(of: serverPid) == nil {
            throw ValidationError("there is no process \(serverPid) (--server-pid)")
        }
    }

    /// The server, started if it is to be.
    ///
    /// - Parameters:
    ///   - command: the subcommand of the server to start, and its options.
    ///   - patience: how long a server may take to start.
    func server(_ command: [String], patience: Duration) throws -> ServerUnderTest {
        if startsServer {
            let more = serverOptions?.split(separator: " ").map(String.init) ?? []
            return try ServerUnderTest(starting: command + more, unixPath: unixPath, patience: patience)
        }
        let address: SocketAddress = try unixPath.map { try .unix(path: $0) } ?? resolve(host: host, port: port ?? 0)
        return ServerUnderTest(at: address, process: serverPid)
    }
}

/// The server that a load generator talks to: its address, and what is known of its process.
final class ServerUnderTest {
    let address: SocketAddress
    private let process: pid_t?
    private let child: ChildProcess?
    private var counters: ProcessCounters?

    /// A server that runs already.
    init(at address: SocketAddress, process: pid_t?) {
        self.address = address
        self.process = process
        child = nil
    }

    /// Starts one, and waits until it listens.
    init(starting command: [String], unixPath: String?, patience: Duration) throws {
        // Ctrl-C ends the load first, and the server when it has seen the end of that.
        let child = try ChildProcess(
            command + ["--stop-with-output"] + (unixPath.map { ["--unix", $0] } ?? ["--port", "0"]), inOwnGroup: true)
        var lines: [String] = []
        var address: SocketAddress?
        while address == nil {
            guard child.hasOutput(within: patience) else { throw Failure("the server did not listen within \(patience)") }
            guard let more = try child.readLines() else {
                throw Failure("the server did not start: \(lines.joined(separator: " "))")
            }
            lines += more
            guard let line = lines.first(where: { $0.hasPrefix("listening on ") }) else { continue }
            if let unixPath {
                address = try .unix(path: unixPath)
            } else if let colon = line.lastIndex(of: ":"), let port = UInt16(line[line.index(after: colon)...]) {
                address = .loopback(port: port)
            } else {
                throw Failure("the server has not said on which port it listens: \(line)")
            }
        }
        self.address = address!
        self.child = child
        process = child.pid
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    /// From now on its processor time counts.
    func beginMeasuring() { counters = process.flatMap { ProcessCounters(of: $0) } }

    /// Its processor time since ``beginMeasuring()``, if it is known and the process is still there.
    func timeUsed() -> ProcessCounters? {
        guard let process, let counters, let now = ProcessCounters(of: process) else { return nil }
        return now - counters
    }

    /// What is known of a server that was started here and has ended.
    struct End {
        /// Its calls of io_uring_enter(2), from its start to its end.
        var systemCalls: UInt64?
        /// Why it did not end as it should, if so.
        var failure: String?
    }

    /// Ends the server, if it was started here.
    func end() throws -> End? {
        guard let child else { return nil }
        child.terminate()
        var lines: [String] = []
        while true {
            guard child.hasOutput(within: .seconds(20)) else {
                child.kill()
                return End(failure: "the server did not end when it was asked to, and was killed")
            }
            guard let more = try child.readLines() else { break }
            // The last lines are its statistics; one that logs a lot does not fill the memory.
            lines = (lines + more).suffix(200)
        }
        let end = child.wait()
        let calls = lines.last { $0.hasPrefix("enters ") }?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
        let last = lines.last { !$0.isEmpty } ?? ""
        return End(
            systemCalls: calls,
            failure: end == .exited(0) ? nil : "the server ended with \(end)" + (last.isEmpty ? "" : ", saying: \(last)"))
    }
}
