import Foundation
import Glibc
import PubSub
import SystemPackage
import Testing
import UringReactor

@testable import samples

/// `samples load-test` and `samples echo-load` as a user sees them: processes over loopback.
@Suite struct LoadProcessTests {
    private static let styles = ["callbacks", "state-machine"]

    /// What it prints; it must end well.
    private func output(_ arguments: String...) throws -> String { try ServerProcess.output(of: arguments) }

    /// What it prints; it must fail.
    private func failure(_ process: ServerProcess) -> String {
        let failure = #expect(throws: ServerProcess.Failure.self) { try process.end() }
        return failure?.what ?? ""
    }

    private func failure(_ arguments: String...) throws -> String { failure(try ServerProcess.start(arguments)) }

    @Test(arguments: styles) func withAWindow(style: String) throws {
        let text = try output(
            "load-test", "--self", "--style", style, "--subscribers", "5", "--publishers", "2", "--messages", "200",
            "--size", "64:8,5000:1,300000:1")
        #expect(text.contains("2,000 in "), "\(text)")
        #expect(text.contains("published 400, lost 0, doubled 0, reordered 0, corrupt 0"), "\(text)")
        #expect(text.contains("CPU server") && text.contains("  here 0.") && text.contains(", server 0."), "\(text)")
    }

    @Test(arguments: styles) func withARateAndFiles(style: String) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("load-test-\(getpid())-\(style)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
        let text = try output(
            "load-test", "--self", "--unix", path("socket"), "--style", style, "--rate", "2000", "--messages", "300",
            "--ramp-up", "0.1", "--json", path("json"), "--histogram", path("hgrm"), "--plot", path("svg"))
        #expect(text.contains("published 300, lost 0"), "\(text)")
        let json = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path("json"))))
        #expect((json as? [String: Any])?["count"] as? Int == 3_000)
        #expect(try String(contentsOfFile: path("hgrm"), encoding: .utf8).contains("TotalCount"))
        #expect(try String(contentsOfFile: path("svg"), encoding: .utf8).hasSuffix("</svg>\n"))
    }

    /// However fast the machine is, while so many messages come one by one some subscriber leaves.
    @Test(arguments: styles) func withChurnAndSlowSubscribers(style: String) throws {
        let text = try output(
            "load-test", "--self", "--style", style, "--messages", "500", "--window", "1", "--churn", "500", "--slow", "0.2",
            "--subscribers", "5", "--slow-pause", "0.01", "--server-options", "--slow-consumer pause-publisher")
        #expect(text.contains("published 500, lost 0, doubled 0, reordered 0, corrupt 0, joined "), "\(text)")
        #expect(!text.contains("left 0, ") && text.contains("missed by slow 0, slow disconnected 0"), "\(text)")
    }

    /// Between two of them nobody is there whose deliveries could be waited for.
    @Test func theOnlySubscriberIsReplaced() throws {
        let text = try output("load-test", "--self", "--messages", "1000", "--subscribers", "1", "--churn", "500")
        #expect(text.contains("published 1,000, lost 0,") && !text.contains("joined 0,"), "\(text)")
    }

    @Test(arguments: styles) func aServerThatVanishes(style: String) throws {
        let server = try ServerProcess(["pubsub-server"])
        let load = try ServerProcess.start(
            ["load-test", "--port", "\(server.port)", "--duration", "600", "--style", style])
        _ = try load.nextLine { $0.contains(" deliveries, ") }
        kill(server.pid, SIGKILL)
        let text = failure(load)
        #expect(text.contains("status 256") && text.contains("failed: the ") && text.contains("published "), "\(text)")
    }

    /// The same when it is its own server that is killed, which is told too.
    @Test func itsOwnServerVanishes() throws {
        let load = try ServerProcess.start(["load-test", "--self", "--duration", "600"])
        _ = try load.nextLine { $0.contains(" deliveries, ") }
        let children = try String(contentsOfFile: "/proc/\(load.pid)/task/\(load.pid)/children", encoding: .utf8)
        let server = try #require(children.split(separator: " ").first.flatMap { pid_t($0) })
        kill(server, SIGKILL)
        let text = failure(load)
        #expect(text.contains("failed: the server ended with signal 9"), "\(text)")
    }

    @Test func anInterruption() throws {
        let load = try ServerProcess.start(["load-test", "--self", "--duration", "600"])
        _ = try load.nextLine { $0.contains(" deliveries, ") }
        kill(load.pid, SIGINT)
        let text = try load.end()
        #expect(text.contains("note: interrupted") && text.contains(" lost 0,"), "\(text)")
    }

    @Test func aServerThatIsNotThere() throws {
        let address = try freePort()
        let text = try failure("load-test", "--port", "\(address)", "--duration", "1")
        #expect(text.contains("failed: a subscriber could not connect: "), "\(text)")
        let echo = try failure("echo-load", "--port", "\(address)", "--duration", "1")
        #expect(echo.contains("failed: a connection could not connect: "), "\(echo)")
    }

    /// One that a process had, which is killed when this returns.
    private func freePort() throws -> UInt16 { try ServerProcess(["echo-server"]).port }

    /// A fault of a server is seen over real sockets, too.
    @Test(arguments: [(FaultyServer.Fault.drop, "5 deliveries were lost"), (.changePayload, "5 deliveries were corrupt")])
    func aFaultOfTheServer(fault: (FaultyServer.Fault, String)) throws {
        let faulty = FaultyServer(fault.0)
        let reactor = try Reactor()
        let server = try Server(on: .loopback(), reactor: reactor) { _ in faulty.makeHandler() }
        var plan = LoadPlan()
        plan.subscribers = 5
        plan.messages = 100
        let run = try LoadRun(plan, at: server.address, on: reactor, run: 1, clock: monotonicNanoseconds)
        reactor.after(.zero) { run.start() }
        try reactor.run()
        var report = LoadReport(title: "", unit: "deliveries", latency: run.recorder, client: "subscriber")
        run.fill(&report)
        #expect(report.failures == [fault.1])
    }

    @Test(arguments: [
        ["--port", "1", "--self"], [], ["--self", "--size", "32"], ["--self", "--slow", "2"], ["--self", "--rate", "-1"],
        ["--self", "--subscribers", "1000000"], ["--self", "--window", "0"], ["--port", "1", "--server-options", "x"],
        ["--self", "--style", "other"], ["--port", "1", "--server-pid", "-5"],
    ])
    func whatMakesNoSenseIsRefused(arguments: [String]) {
        #expect(throws: (any Error).self) { try LoadTest.parse(arguments) }
    }

    @Test(arguments: [
        ["--port", "1", "--self"], [], ["--self", "--size", "0"], ["--self", "--depth", "0"],
        ["--self", "--connections", "1000000"], ["--self", "--depth", "60000", "--size", "60000"],
    ])
    func whatMakesNoSenseIsRefusedForEchoesToo(arguments: [String]) {
        #expect(throws: (any Error).self) { try EchoLoad.parse(arguments) }
    }

    @Test func aFileThatCannotBeWritten() throws {
        let text = try failure("load-test", "--self", "--json", "/nowhere/file")
        #expect(text.contains("/nowhere/file cannot be written"), "\(text)")
    }

    // MARK: - Echo

    @Test(arguments: styles) func echoes(style: String) throws {
        let text = try output(
            "echo-load", "--self", "--style", style, "--connections", "8", "--messages", "100", "--depth", "7", "--size",
            "999")
        #expect(text.contains("800 in ") && text.contains("sent 800, not returned 0, corrupt connections 0"), "\(text)")
        let large = try output(
            "echo-load", "--self", "--style", style, "--connections", "2", "--messages", "9", "--depth", "3", "--size",
            "1000000")
        #expect(large.contains("sent 18, not returned 0"), "\(large)")
    }
}
