import ReactorTesting

/// One run.
protocol Run: AnyObject {
    /// What it did, when it is over.
    var counts: RunCounts { get }
    /// Runs to the end.
    ///
    /// - Returns: What was wrong.
    func perform() throws -> [String]
}

/// What a run is about.
enum WorkloadKind: String, CaseIterable {
    /// Servers and clients in both styles, and a broker, among peers that pause, reset and vanish.
    case connections
    /// The pub/sub service of the samples, with clients in both styles, and scripts.
    case pubsub
    /// The echo server of the samples, and clients that check what comes back.
    case echo
    /// Bare operations with callbacks, cancelled at any moment.
    case operations
    /// The scenario of the samples, where what goes wrong breaks no connection.
    case scenario

    /// The kind of run that a seed stands for.
    static func drawn(by seed: UInt64, isReal: Bool = false) -> WorkloadKind {
        var random = SplitMix64(seed: seed ^ 0x6b69_6e64)
        let kinds = allCases.filter { $0.mayBeReal || !isReal }.flatMap { Array(repeating: $0, count: $0.weight) }
        return kinds[random.next(in: 0...(kinds.count - 1))]
    }

    /// How often it is drawn, compared with others.
    private var weight: Int {
        switch self {
        case .connections: 4
        case .pubsub: 4
        case .echo: 2
        case .operations: 3
        case .scenario: 1
        }
    }

    /// What tells this kind's numbers from another's.
    var salt: UInt64 {
        switch self {
        case .connections: 0x776f_726b_6c6f_6164
        case .pubsub: 0x7075_6273_7562
        case .echo: 0x6563_686f
        case .operations: 0x6f70_6572
        case .scenario: 0x7363_656e_6172_696f
        }
    }

    /// - Parameters:
    ///   - random: what is left of the seed's numbers when the world is made.
    ///   - isCalm: whether no connection breaks that nobody breaks, whatever else goes wrong.
    func makePlay(seed: UInt64, random: SplitMix64, in world: any World, isCalm: Bool) throws -> Play {
        switch self {
        case .connections: return Workload(seed: seed, random: random, in: world)
        case .pubsub: return PubSubWorkload(seed: seed, random: random, in: world, isCalm: isCalm)
        case .echo: return EchoWorkload(seed: seed, random: random, in: world, isCalm: isCalm)
        case .operations:
            guard let calls = world.calls else { throw NoBareDescriptors() }
            return OperationsWorkload(seed: seed, random: random, in: world, calls: calls, isCalm: isCalm)
        case .scenario: return ScenarioWorkload(seed: seed, random: random, in: world)
        }
    }

    func makeRun(seed: UInt64) throws -> SimulatedRun { try SimulatedRun(self, seed: seed) }

    /// The same over Linux: what is drawn follows from the seed, what comes of it does not.
    func makeRealRun(seed: UInt64) throws -> LinuxRun { try LinuxRun(self, seed: seed) }

    /// Whether it can be run over Linux.
    var mayBeReal: Bool { self != .operations }
}

/// A workload of bare operations, in a world that has no calls beside the ring.
struct NoBareDescriptors: Error, CustomStringConvertible {
    let description = "bare operations are simulated only: on Linux their descriptors would be shared with everybody"
}
