import PubSub
import ReactorTesting
import Testing
import UringReactor

@testable import samples

/// Load tests over the simulated kernel: in no time, and the same each time.
@Suite struct LoadRunTests {
    private static func plan(_ style: LoadStyle = .stateMachine, _ change: (inout LoadPlan) -> Void = { _ in }) -> LoadPlan {
        var plan = LoadPlan()
        plan.subscribers = 3
        plan.size = .range(40...3_000)
        plan.messages = 20
        plan.window = 4
        plan.style = style
        change(&plan)
        return plan
    }

    /// Plays a plan against a server that is made on the simulated reactor, and returns its report.
    private static func play(
        _ plan: LoadPlan, seed: UInt64 = 1, during: (LoadRun, Reactor) -> Void = { _, _ in },
        server: (Reactor) throws -> SocketAddress
    ) throws -> LoadReport {
        let simulation = try Simulation(seed: seed)
        let reactor = simulation.reactor
        let run = try LoadRun(
            plan, at: server(reactor), on: reactor, run: 7, clock: { [unowned reactor] in reactor.now })
        run.start()
        during(run, reactor)
        try simulation.run(until: { run.phase == .over }, within: .seconds(3_600))
        try simulation.finish()
        var report = LoadReport(title: "", unit: "deliveries", latency: run.recorder, client: "subscriber")
        run.fill(&report)
        return report
    }

    private static func play(_ plan: LoadPlan, _ fault: FaultyServer.Fault) throws -> LoadReport {
        let faulty = FaultyServer(fault)
        return try play(plan) { reactor in
            try Server(on: .loopback(port: 7_000), reactor: reactor) { _ in faulty.makeHandler() }.address
        }
    }

    /// With the real broker.
    private static func playWithBroker(
        _ plan: LoadPlan, seed: UInt64 = 1, slow: SlowConsumerChoice = .disconnect, maxPending: Int = 64 << 20,
        during: (LoadRun, Reactor) -> Void = { _, _ in }
    ) throws -> LoadReport {
        var configuration = ServerConfiguration()
        configuration.connection.maximumPendingBytes = maxPending
        configuration.socketOptions = [.sendBuffer: 4_096]
        var broker = BrokerConfiguration()
        slow.apply(to: &configuration.connection, &broker)
        return try play(plan, seed: seed, during: during) { reactor in
            try PubSubService(
                on: .loopback(port: 7_000), configuration: configuration, broker: broker, reactor: reactor,
                onEvent: { _ in }
            ).server.address
        }
    }

    private func count(_ name: String, _ report: LoadReport) -> UInt64? { report.counts.first { $0.name == name }?.value }

    // MARK: - What is well

    @Test(arguments: LoadStyle.allCases, [0, 100.0]) func everythingIsDelivered(style: LoadStyle, rate: Double) throws {
        let report = try LoadRunTests.playWithBroker(
            LoadRunTests.plan(style) {
                $0.publishers = 3
                $0.rate = rate
                $0.rampUp = 1
            })
        #expect(report.failures == [])
        #expect(report.latency.count == 180 && count("published", report) == 60 && count("lost", report) == 0)
        #expect(report.rates.count == 9 && report.meanLatencies.count == 9)
    }

    /// At 100 a second, 20 messages take 0.19 seconds, whatever the machine does.
    @Test(arguments: LoadStyle.allCases) func theRateIsKept(style: LoadStyle) throws {
        let report = try LoadRunTests.playWithBroker(LoadRunTests.plan(style) { $0.rate = 100 })
        #expect((0.19..<0.2).contains(report.seconds))
        let limited = try LoadRunTests.playWithBroker(
            LoadRunTests.plan(style) {
                $0.rate = 100
                $0.messages = nil
                $0.duration = 0.5
            })
        #expect(count("published", limited) == 50 && limited.failures == [])
    }

    @Test(arguments: LoadStyle.allCases, UInt64(1)...5) func subscribersComeAndGo(style: LoadStyle, seed: UInt64) throws {
        let report = try LoadRunTests.playWithBroker(
            LoadRunTests.plan(style) {
                $0.publishers = 2
                $0.rate = 500
                $0.churn = 400
                $0.messages = 200
                $0.seed = seed
            }, seed: seed)
        #expect(report.failures == [])
        let (joined, left) = (count("joined", report) ?? 0, count("left", report) ?? 0)
        #expect(left > 100 && joined <= left && joined + 6 >= left, "\(joined) joined, \(left) left")
    }

    /// A latency counts from when the message was to be sent: a server that stands still for a second delays all that were
    /// due in that second, and not only those that it had been sent before it took no more.
    @Test(arguments: LoadStyle.allCases) func whoIsLateIsMeasuredFromWhenItWasDue(style: LoadStyle) throws {
        let plan = LoadRunTests.plan(style) {
            $0.subscribers = 1
            $0.rate = 50
            $0.messages = 150
            $0.size = .fixed(50_000)
        }
        let report = try LoadRunTests.play(plan, .standstill)
        #expect(report.failures == [] && report.latency.count == 150)
        // Fifty of a hundred and fifty waited, half a second on average.
        #expect(report.latency.percentile(100) > 900_000_000)
        #expect((350_000_000...600_000_000).contains(report.latency.percentile(83)))
        #expect(report.latency.percentile(60) < 100_000_000)
    }

    // MARK: - Slow subscribers

    /// Half of them read slowly, and what the server does about it is told apart from losses.
    @Test(arguments: LoadStyle.allCases, SlowConsumerChoice.allCases)
    func slowSubscribers(style: LoadStyle, choice: SlowConsumerChoice) throws {
        let plan = LoadRunTests.plan(style) {
            $0.subscribers = 2
            $0.slow = 0.5
            $0.slowPause = 0.5
            $0.size = .fixed(20_000)
            $0.messages = 100
            $0.rate = 100
        }
        #expect(plan.slowSubscribers == 1)
        let report = try LoadRunTests.playWithBroker(plan, slow: choice, maxPending: 1 << 18)
        #expect(report.failures == [] && count("lost", report) == 0)
        #expect(report.latency.count == 100 && report.rates.count == 1)
        let (missed, ended) = (count("missed by slow", report) ?? 0, count("slow disconnected", report) ?? 0)
        switch choice {
        case .disconnect: #expect(ended == 1)
        case .dropNewest, .dropOldest: #expect(missed > 0 && ended == 0)
        case .pausePublisher: #expect(missed == 0 && ended == 0 && count("received by slow", report) == 100)
        }
    }

    // MARK: - What is wrong

    @Test(arguments: LoadStyle.allCases) func aServerWithoutFault(style: LoadStyle) throws {
        let report = try LoadRunTests.play(LoadRunTests.plan(style), .none)
        #expect(report.failures == [] && report.latency.count == 60)
    }

    /// Each fault is counted for each of three subscribers, as what it is and as nothing else.
    @Test(arguments: LoadStyle.allCases, [
        (FaultyServer.Fault.drop, "lost"), (.double, "doubled"), (.swap, "reordered"), (.changePayload, "corrupt"),
        (.changeHead, "corrupt"), (.interject, "corrupt"),
    ])
    func faultsAreCounted(style: LoadStyle, fault: (FaultyServer.Fault, String)) throws {
        for rate in [0, 1_000.0] {
            let report = try LoadRunTests.play(LoadRunTests.plan(style) { $0.rate = rate }, fault.0)
            #expect(report.failures == ["3 deliveries were \(fault.1)"])
            for name in ["lost", "doubled", "reordered", "corrupt"] {
                #expect(count(name, report) == (name == fault.1 ? 3 : 0), "\(name)")
            }
            let whole: UInt64 = [.drop, .changePayload, .changeHead].contains(fault.0) ? 57 : 60
            #expect(report.latency.count == whole)
        }
    }

    @Test(arguments: LoadStyle.allCases, [
        (FaultyServer.Fault.silence, "the server has not answered 4 of 4 connections for 10.0 s"),
        (.refusal, "a subscriber was told: ERROR not today"),
        (.hangUp, "the server ended the connection of a subscriber before it answered"),
        (.dismissal, "a subscriber was told: ERROR slow consumer"),
        (.staysOpen, "the server had not ended 4 connections 10.0 s after the last message"),
    ])
    func connectionsThatDoNotLiveAsPlanned(style: LoadStyle, fault: (FaultyServer.Fault, String)) throws {
        let report = try LoadRunTests.play(LoadRunTests.plan(style), fault.0)
        #expect(report.failures.contains(fault.1), "\(report.failures)")
        #expect(report.failures.count == 1)
    }

    @Test(arguments: LoadStyle.allCases) func aServerThatVanishes(style: LoadStyle) throws {
        let report = try LoadRunTests.play(LoadRunTests.plan(style), .vanish)
        #expect(!report.failures.isEmpty && report.failures.allSatisfy { $0.contains("end") }, "\(report.failures)")
        #expect(report.latency.count <= 15)
    }

    /// What was sent and did not come in time is lost.
    @Test(arguments: LoadStyle.allCases) func aServerThatDeliversNothingAnyMore(style: LoadStyle) throws {
        let report = try LoadRunTests.play(LoadRunTests.plan(style) { $0.messages = 1_000 }, .stall)
        // With a window of 4, so many were under way.
        let expected = ["12 deliveries were lost", "no delivery came for 10.0 s while messages were under way"]
        #expect(report.failures == expected && report.latency.count == 15)
    }

    @Test(arguments: LoadStyle.allCases) func aServerThatIsNotThere(style: LoadStyle) throws {
        let report = try LoadRunTests.play(LoadRunTests.plan(style)) { _ in .loopback(port: 7_000) }
        #expect(report.failures.first?.hasPrefix("a subscriber could not connect: ") == true, "\(report.failures)")
    }

    @Test func messagesThatAreTooLongForTheServer() throws {
        let report = try LoadRunTests.playWithBroker(LoadRunTests.plan { $0.size = .fixed(5 << 20) })
        #expect(report.failures.last?.hasPrefix("a publisher was told: ERROR") == true, "\(report.failures)")
    }

    @Test(arguments: LoadStyle.allCases) func anInterruptionEndsItEarly(style: LoadStyle) throws {
        let plan = LoadRunTests.plan(style) {
            $0.rate = 100
            $0.messages = 100_000
        }
        let report = try LoadRunTests.playWithBroker(plan) { run, reactor in
            reactor.after(.seconds(2)) { run.interrupt() }
        }
        #expect(report.failures == [] && report.notes.count == 1)
        #expect((190...200).contains(count("published", report) ?? 0))
        #expect(report.latency.count == 3 * (count("published", report) ?? 0))
    }

    // MARK: - Plans

    @Test func impossiblePlansAreRefused() {
        func objection(_ change: (inout LoadPlan) -> Void) -> String? {
            LoadRunTests.plan(.stateMachine, change).objection(mostDescriptors: 1_000)
        }
        #expect(objection { _ in } == nil)
        #expect(objection { $0.subscribers = 0 } != nil)
        #expect(objection { $0.rate = -1 } != nil)
        #expect(objection { $0.rate = .nan } != nil)
        #expect(objection { $0.window = 0 } != nil)
        #expect(objection { $0.messages = 0 } != nil)
        #expect(objection { $0.duration = .infinity } != nil)
        #expect(objection { $0.slow = 1 }?.contains("--slow") == true)
        #expect(objection { $0.slow = 1; $0.rate = 1 } == nil)
        #expect(objection { $0.slow = 1; $0.rate = 1; $0.churn = 1 }?.contains("--churn") == true)
        #expect(objection { $0.rate = 0.001; $0.messages = 1_000_000 }?.contains("two days") == true)
        let tooMany = objection { $0.subscribers = 1_000 }
        #expect(tooMany?.contains("1001 connections need 1033 descriptors") == true, "\(tooMany ?? "")")
        #expect(tooMany?.contains("ulimit") == true)
    }
}
