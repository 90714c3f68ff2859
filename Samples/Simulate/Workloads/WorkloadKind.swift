import ReactorTesting

/// One run, all of which follows from a seed.
protocol SeededRun: AnyObject {
    var kernel: SimulatedKernel { get }
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
    static func drawn(by seed: UInt64) -> WorkloadKind {
        var random = SplitMix64(seed: seed ^ 0x6b69_6e64)
        let kinds = allCases.flatMap { Array(repeating: $0, count: $0.weight) }
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

    func makeRun(seed: UInt64) throws -> any SeededRun {
        switch self {
        case .connections:
            try SimulatedRun(seed: seed, salt: 0x776f_726b_6c6f_6164) { seed, random, world, _ in
                Workload(seed: seed, random: random, in: world)
            }
        case .pubsub:
            try SimulatedRun(seed: seed, salt: 0x7075_6273_7562) { PubSubWorkload(seed: $0, random: $1, in: $2, isCalm: $3) }
        case .echo:
            try SimulatedRun(seed: seed, salt: 0x6563_686f) { EchoWorkload(seed: $0, random: $1, in: $2, isCalm: $3) }
        case .operations:
            try SimulatedRun(seed: seed, salt: 0x6f70_6572) { seed, random, world, _ in
                guard let calls = world.calls else { fatalError("a world without bare descriptors") }
                return OperationsWorkload(seed: seed, random: random, in: world, calls: calls)
            }
        case .scenario:
            try SimulatedRun(seed: seed, salt: 0x7363_656e_6172_696f, isCalm: true) { seed, random, world, _ in
                ScenarioWorkload(seed: seed, random: random, in: world)
            }
        }
    }
}

/// How much happened.
struct RunCounts: CustomStringConvertible {
    private(set) var connections: UInt64 = 0
    private(set) var operations: UInt64 = 0
    private(set) var enters: UInt64 = 0
    private(set) var faults: UInt64 = 0

    init() {}

    init(connections: UInt64, operations: UInt64, enters: UInt64, faults: UInt64) {
        (self.connections, self.operations, self.enters, self.faults) = (connections, operations, enters, faults)
    }

    /// Four numbers, for ``add(_:)``.
    var line: String { "\(connections) \(operations) \(enters) \(faults)" }

    /// Adds those of another run, as its ``line`` says.
    mutating func add(_ line: String) {
        let numbers = line.split(separator: " ").compactMap { UInt64($0) }
        guard numbers.count == 4 else { return }
        connections += numbers[0]
        operations += numbers[1]
        enters += numbers[2]
        faults += numbers[3]
    }

    var description: String {
        "\(connections) connections, \(operations) operations, \(enters) enters, \(faults) faults"
    }
}
