import CTestSupport
import Glibc
import SystemPackage
import Testing

@testable import UringReactor

@Suite(.timeLimit(.minutes(20))) struct ReactorTests {
    @Test func runsOnce() throws {
        let reactor = try Reactor.quiet()
        try reactor.run(.untilIdle)
        let error = #expect(throws: ReactorError.finished) { try reactor.run() }
        #expect(error?.description == "this reactor has run; make a new one")
    }

    @Test func runsNotWithinARun() throws {
        let (outer, inner) = (try Reactor.quiet(), try Reactor.quiet())
        var checks = 0
        outer.nop { _ in
            #expect(throws: ReactorError.nested) { try outer.run() }
            #expect(throws: ReactorError.nested) { try inner.run() }
            checks += 1
        }
        try outer.run(.untilIdle)
        #expect(checks == 1)
        // It was not hurt by the attempt.
        try inner.run(.untilIdle)
    }

    @Test func currentIsTheOneThatRuns() throws {
        #expect(Reactor.current == nil)
        let reactor = try Reactor.quiet()
        var seen: [Reactor?] = []
        reactor.nop { _ in seen.append(Reactor.current) }
        reactor.after(.zero) { seen.append(Reactor.current) }
        reactor.handle.post { #expect(Reactor.current != nil) }
        try reactor.runToIdle()
        #expect(seen.count == 2 && seen.allSatisfy { $0 === reactor })
        #expect(Reactor.current == nil)
    }

    @Test func untilIdleWithNothingToDoEnds() throws {
        try Reactor.quiet().runToIdle()
    }

    @Test func stopBeforeTheRunEndsEverything() throws {
        let reactor = try Reactor.quiet()
        let pipe = try Pipe()
        let (read, nop) = (Outcomes<Bytes>(), Outcomes<Void>())
        reactor.read(from: pipe.reader, upTo: 1, read.note)
        reactor.nop(nop.note)
        reactor.after(.seconds(1000)) { Issue.record("called") }
        reactor.stop()
        reactor.stop()
        #expect(reactor.isStopping)
        try reactor.run()
        #expect(read.onlyError?.isCancelled == true)
        #expect(nop.onlyValue != nil)
    }

    @Test func aReactorThatNeverRunsGoesQuietly() throws {
        let pipe = try Pipe()
        weak var weakReactor: Reactor?
        do {
            let reactor = try Reactor.quiet()
            weakReactor = reactor
            reactor.read(from: pipe.reader, upTo: 1) { _ in Issue.record("called") }
            reactor.after(.zero) { Issue.record("called") }
        }
        #expect(weakReactor == nil)
    }

    /// All that can wait, at once; the stop drains it to nothing, each callback called once, no descriptor lost.
    @Test func stopWithEverythingInFlight() async {
        await #expect(processExitsWith: .success) {
            func round(_ seed: UInt64) throws {
                var calls = 0
                var started = 0
                do {
                    let (pipe, pair, listener, file) =
                        (try Pipe(), try SocketPair(buffer: 4096), try Listener(), try TemporaryFile())
                    let reactor = try Reactor()
                    let full = Bytes([UInt8](repeating: 7, count: 1 << 20))
                    func startAll() {
                        started += 14
                        reactor.accept(on: listener.socket) {
                            if case .success(let new) = $0 { try new.close() }
                            calls += 1
                        }
                        reactor.acceptMultishot(on: listener.socket) {
                            switch $0 {
                            case .success(let new): try new.close()
                            case .failure: calls += 1
                            }
                        }
                        reactor.receive(from: pair.left) { _ in calls += 1 }
                        reactor.send(full, to: pair.left) { _ in calls += 1 }
                        reactor.send([full, full], to: pair.right) { _ in calls += 1 }
                        reactor.poll(pipe.reader, for: .readable) { _ in calls += 1 }
                        reactor.pollMultishot(pipe.reader, for: .readable) { if case .failure = $0 { calls += 1 } }
                        reactor.timeout(after: .seconds(1000)) { _ in calls += 1 }
                        reactor.read(from: pipe.reader, upTo: 10, timeout: .seconds(1000)) { _ in calls += 1 }
                        reactor.write(full, to: pipe.writer) { _ in calls += 1 }
                        reactor.nop { _ in calls += 1 }
                        reactor.open(file.path, .readOnly) { if case .success(let new) = $0 { try new.close() }; calls += 1 }
                        reactor.cancelAll(on: listener.socket) { _ in calls += 1 }
                        reactor.cancel(reactor.timeout(after: .seconds(1000)) { _ in calls += 1 })
                        reactor.after(.seconds(1000)) { fatalError("called") }
                        reactor.every(.seconds(1000)) { fatalError("called") }
                    }
                    startAll()
                    reactor.after(.microseconds(Int64(seed * 37))) {
                        startAll()
                        reactor.stop()
                        startAll()
                    }
                    try reactor.run()
                    precondition(reactor.statistics.operations == 0)
                }
                precondition(calls == started, "\(calls) calls of \(started)")
            }
            let before = open_descriptors()
            for seed in 0..<50 as Range<UInt64> { try round(seed) }
            // The test runner has a few of its own that come and go.
            let after = open_descriptors()
            precondition(after < before + 25, "descriptors leak: \(before), then \(after)")
        }
    }

    @Test func whatIsStartedWhileItEndsFailsOrFinishes() throws {
        let reactor = try Reactor.quiet()
        let pipe = try Pipe()
        pipe.shrink()
        let (nested, written, closed, nop) = (Outcomes<Bytes>(), Outcomes<Int>(), Outcomes<Void>(), Outcomes<Void>())
        let duplicate = try pipe.reader.duplicate()
        reactor.read(from: pipe.reader, upTo: 1) { _ in
            // The stop has ended this one.
            reactor.read(from: pipe.reader, upTo: 1, nested.note)
            // Would never end: nobody reads.
            reactor.write(Bytes([UInt8](repeating: 1, count: 1 << 16)), to: pipe.writer, written.note)
            reactor.close(duplicate, closed.note)
            reactor.nop(nop.note)
            reactor.after(.zero) { Issue.record("called") }
        }
        reactor.stop()
        try reactor.run()
        #expect(nested.onlyError?.isCancelled == true)
        #expect(written.onlyError?.isCancelled == true)
        #expect(closed.onlyValue != nil)
        #expect(nop.onlyValue != nil)
    }

    @Test func callbacksThatThrowAreReportedAndTheLoopGoesOn() throws {
        struct Mishap: Error {}
        var reports: [String] = []
        let reactor = try Reactor.quiet { $0.onReport = { reports.append("\($0)") } }
        reactor.nop { _ in throw Mishap() }
        var later = 0
        reactor.nop { _ in later += 1 }
        try reactor.runToIdle()
        #expect(reports == ["the callback of a no-op threw: Mishap()"])
        #expect(later == 1)
        #expect(reactor.statistics.errorsThrown == 1)
    }

    @Test func madeOnOneThreadRunOnAnother() throws {
        let carried = Carried(try Reactor.quiet())
        let log = Carried(Outcomes<Void>())
        carried.value.nop(log.value.note)
        let thread = TestThread { try! carried.value.run(.untilIdle) }
        thread.join()
        #expect(log.value.values.count == 1)
    }

    @Test func useFromAWrongThreadTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let carried = Carried(try Reactor())
            TestThread { carried.value.nop { _ in } }.join()
        }
        #expect(text(result).contains("used from a thread that does not own it. Hand the work over with"))
    }

    @Test func useAfterTheEndTraps() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let reactor = try Reactor()
            try reactor.run(.untilIdle)
            // Both of these are harmless.
            precondition(!reactor.cancel(.none))
            reactor.stop()
            reactor.nop { _ in }
        }
        #expect(text(result).contains("Reactor whose run() has returned"))
    }

    @Test func aWaitingOperationAfterTheEndTrapsToo() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let reactor = try Reactor()
            try reactor.run(.untilIdle)
            reactor.receive(from: FileDescriptor(rawValue: 0)) { _ in }
        }
        #expect(text(result).contains("Reactor whose run() has returned"))
    }

    private func text(_ result: ExitTest.Result?) -> String {
        String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    }

    @Test func aWriteToAClosedPipeKillsNobody() async {
        await #expect(processExitsWith: .success) {
            let (reader, writer) = try FileDescriptor.pipe()
            try reader.close()
            let reactor = try Reactor()
            let outcomes = Outcomes<Int>()
            reactor.write("x", to: writer, outcomes.note)
            try reactor.run(.untilIdle)
            precondition(outcomes.onlyError?.errno == .brokenPipe)
        }
    }

    @Test func statisticsPrint() throws {
        let reactor = try Reactor.quiet()
        reactor.nop { _ in }
        try reactor.runToIdle()
        let text = reactor.statistics.description
        #expect(text.contains("nop 1"))
        #expect(text.contains("0 EINTR"))
        #expect(!text.hasSuffix("\n"))
    }
}
