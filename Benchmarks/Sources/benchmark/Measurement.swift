import Foundation

/// What the load generator says of one window. Whatever does not apply is nil.
struct Measurement: Codable, Equatable {
    var messages: Double?
    var deliveries: Double?
    var bytes: Double?
    var seconds: Double?
    var serverCpuNs: Double?
    var loadCpuNs: Double?
    var p50Ns: Double?
    var p90Ns: Double?
    var p99Ns: Double?
    var p999Ns: Double?
    var maxNs: Double?
    var serverSyscalls: Double?
    var serverAllocations: Double?
    var serverRssKib: Double?
    var serverPrivateKib: Double?
    var serverPrivateKibBefore: Double?
    var bytesPerConnection: Double?

    /// - Parameter line: The line of JSON that `load` prints.
    init(json line: String) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        self = try decoder.decode(Measurement.self, from: Data(line.utf8))
    }

    init() {}

    subscript(metric: Metric) -> Double? {
        switch metric {
        case .cpu: Measurement.divide(serverCpuNs, deliveries)
        case .throughput: Measurement.divide(deliveries, seconds)
        case .p99: p99Ns
        case .syscalls: Measurement.divide(serverSyscalls, deliveries)
        case .allocations: Measurement.divide(serverAllocations, deliveries)
        case .rss: serverRssKib
        case .idleMemory: bytesPerConnection
        }
    }

    private static func divide(_ dividend: Double?, _ divisor: Double?) -> Double? {
        guard let dividend, let divisor, divisor > 0 else { return nil }
        return dividend / divisor
    }
}

/// What is compared.
enum Metric: String, Codable {
    /// The server's CPU time, in ns a message.
    case cpu
    /// Messages a second.
    case throughput
    /// In ns.
    case p99
    /// A message, from the counting pass.
    case syscalls
    /// A message, from the counting pass.
    case allocations
    /// In KiB.
    case rss
    /// In bytes a connection.
    case idleMemory

    /// What counting would disturb is measured without it, and what is counted is counted once.
    var isCounted: Bool { self == .syscalls || self == .allocations }
}
