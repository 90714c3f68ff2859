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

/// One all of which follows from a seed.
protocol SeededRun: Run {
    var kernel: SimulatedKernel { get }
}

/// What a run is about.
enum WorkloadKind: String, CaseIterable {
    /// Servers and clients in both styles, and a broker, among peers that pause, reset and vanish.
    case connections

    /// The kind of run that a seed stands for.
    static func drawn(by seed: UInt64) -> WorkloadKind {
        var random = SplitMix64(seed: seed ^ 0x6b69_6e64)
        return allCases[random.next(in: 0...(allCases.count - 1))]
    }

    func makeRun(seed: UInt64) throws -> any SeededRun {
        switch self {
        case .connections: try SimulatedConnections(seed: seed)
        }
    }

    /// The same over Linux: what is drawn follows from the seed, what comes of it does not.
    func makeRealRun(seed: UInt64) throws -> any Run {
        switch self {
        case .connections: try LinuxConnections(seed: seed)
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
