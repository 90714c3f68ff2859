import ReactorTesting
import UringReactor

/// A run in stages: a population that does what it likes, until nothing can happen any more; then everybody ends politely,
/// and until that is over nothing may stand still; then the servers stop, and the reactor.
class Play {
    final let seed: UInt64
    final var random: SplitMix64
    final let world: any World
    final var reactor: Reactor { world.reactor }
    final private(set) var failures: [String] = []
    final private(set) var isFinishing = false
    final private var stage = Stage.living

    private enum Stage {
        case living, finishing, stopping, ending
    }

    /// - Parameters:
    ///   - seed: all follows from it.
    ///   - random: what is left of the seed's numbers when the world is made.
    init(seed: UInt64, random: SplitMix64, in world: any World) {
        self.seed = seed
        self.random = random
        self.world = world
    }

    // MARK: - What it is about

    /// Makes those who are in it.
    func populate() throws {}
    /// Who waits for what although it is due: nobody, when nothing can happen any more, nor for long before.
    func waiting() -> [String] { [] }
    /// Nothing can happen any more: whatever else must hold then.
    func checkStandstill() {}
    /// Everybody ends politely.
    func finish() {}
    /// Everybody has.
    func checkFinished() {}
    /// The servers stop, and what is kept is let go.
    func beginStopping() {}
    /// All connections are over but those that only the end of the reactor ends.
    func checkStopped() {}
    /// The reactor stops, perhaps in the middle of everything.
    func leave() {}
    /// It has stopped.
    func checkOver() {}

    // MARK: - For those in it

    final func fail(_ text: String) {
        if failures.count < 5 { failures.append(text) }
    }

    /// The reactor stops, now and then in the middle of everything.
    final func stop() {
        isFinishing = true
        wasStopped = wasStopped || stage != .stopping
        stage = .ending
        world.expectEnd()
        reactor.stop()
        leave()
    }
    /// It was stopped in the middle of everything.
    final private(set) var wasStopped = false

    /// Does something in the next turn: within an enter the library must not be called.
    final func soon(_ job: @escaping () -> Void) {
        nonisolated(unsafe) let job = job // Never leaves this thread.
        reactor.handle.post { unsafe job() }
    }

    /// A step of the library's user, after a while.
    final func later(_ job: @escaping () throws -> Void) { wait(.microseconds(delay()), job) }

    /// A timer of the library's; nothing is over before it.
    final func wait(_ delay: Duration, _ job: @escaping () throws -> Void) {
        waits += 1
        reactor.after(delay) { [weak self] in
            self?.waits -= 1
            try job()
        }
    }
    private var waits = 0

    /// A step of a far end's, after a while.
    final func farLater(_ step: @escaping () -> Void) {
        world.schedule(after: .microseconds(delay()), step)
    }

    // MARK: - The run

    /// Runs to the end.
    ///
    /// - Returns: What was wrong.
    final func run() throws -> [String] {
        try populate()
        if world.timeIsFree { watch() }
        do {
            try world.run(isStill: { [unowned self] in isAsItShouldBe }, onStandstill: { [unowned self] in stoodStill() })
        } catch {
            // Nothing has ended, and why is known.
            return world.failures + failures + ["\(error)"]
        }
        // What is kept is let go there.
        checkOver()
        for text in world.leftovers() { fail(text) }
        checkStatistics()
        return world.failures + failures
    }

    /// Whoever waits for so long waits for a timer that happens to be set, and must not need it.
    private func watch() {
        func look(_ patience: Int, _ before: [String]) {
            world.schedule(after: .seconds(1)) { [unowned self] in
                guard !isFinishing else { return }
                let now = waiting().filter { patience == 3 || before.contains($0) }
                guard !now.isEmpty else { return }
                if patience > 0 { return look(patience - 1, now) }
                fail("\(now[0]), for seconds\n\(world.state)")
            }
        }
        for _ in 0..<2 { world.schedule(after: .milliseconds(number(0...2_000))) { look(3, []) } }
    }

    private func checkWaiting() {
        guard let first = waiting().first else { return checkStandstill() }
        let starved = reactor.statistics.connectionsWithoutBuffer
        fail("\(first)\n\(starved) connections wait for a buffer\n\(world.state)")
    }

    /// Nothing can happen any more: looks whether that is as it should be, and goes on to the next stage.
    private func stoodStill() -> Bool {
        switch stage {
        case .living:
            checkWaiting()
            stage = .finishing
            soon { [unowned self] in
                isFinishing = true
                finish()
            }
        case .finishing:
            checkWaiting()
            checkFinished()
            stage = .stopping
            soon { [unowned self] in beginStopping() }
        case .stopping:
            if reactor.statistics.servers > 0 { fail("servers did not stop\n\(world.state)") }
            checkStopped()
            checkBuffers()
            soon { [unowned self] in stop() }
        case .ending: return false
        }
        return true
    }

    /// Whether the stage is over, for a world that cannot tell when nothing can happen any more.
    private var isAsItShouldBe: Bool {
        switch stage {
        case .living: waits == 0 && holds(checkWaiting)
        case .finishing: holds { checkWaiting(); checkFinished() }
        case .stopping: reactor.statistics.servers == 0 && holds { checkStopped(); checkBuffers() }
        case .ending: true
        }
    }

    /// Whether a check finds nothing, which may be because it comes too early.
    private func holds(_ check: () -> Void) -> Bool {
        let before = failures
        failures = []
        defer { failures = before }
        check()
        return failures.isEmpty
    }

    /// No connection is open any more, and nobody holds a slice.
    private func checkBuffers() {
        for text in world.connectionLeftovers() { fail(text) }
        let statistics = reactor.statistics
        guard statistics.zeroCopySendsInFlight == 0 else { return }
        let (small, large) = (statistics.receiveBuffersInUse, statistics.largeReceiveBuffersInUse)
        if small + large > 0 { fail("\(small) small and \(large) large receive buffers are out") }
    }

    private func checkStatistics() {
        let statistics = reactor.statistics
        if statistics.connections > 0 { fail("\(statistics.connections) connections are left") }
        if statistics.servers > 0 { fail("\(statistics.servers) servers are left") }
        if statistics.operations > 0 { fail("\(statistics.operations) operations are left") }
        if statistics.zeroCopySendsInFlight > 0, stage != .ending { fail("zero-copy sends are left") }
        if statistics.staleCompletions > 0 { fail("\(statistics.staleCompletions) completions that nobody waited for") }
        if statistics.pooledBuffersInUse > 0 { fail("\(statistics.pooledBuffersInUse) buffers of the pool are lent") }
    }
}
