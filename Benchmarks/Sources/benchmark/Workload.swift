/// What the load generator does to a server.
enum Workload: Hashable, Codable {
    case echo(connections: Int, size: Int, depth: Int)
    /// Each channel has one publisher and so many subscribers. With a rate, in messages a second of each publisher, the
    /// window only bounds what may be on its way.
    case fanout(channels: Int, subscribers: Int, size: Int, window: Int, rate: Int?)
    /// Connect, one small message and its answer, close, and again; so many at once.
    case churn(concurrency: Int)
    case idle(Service, connections: Int)

    /// What a server has to offer to take part.
    var service: Service {
        switch self {
        case .echo, .churn: .echo
        case .fanout: .pubsub
        case .idle(let service, _): service
        }
    }

    /// The arguments of `load`, but for those that all workloads have.
    func arguments(protocol name: WireProtocol) -> [String] {
        switch self {
        case .echo(let connections, let size, let depth):
            return ["echo", "--connections", "\(connections)", "--size", "\(size)", "--depth", "\(depth)"]
        case .fanout(let channels, let subscribers, let size, let window, let rate):
            let fixed = [
                "fanout", "--protocol", name.rawValue, "--channels", "\(channels)", "--subscribers", "\(subscribers)",
                "--size", "\(size)", "--window", "\(window)",
            ]
            return fixed + (rate.map { ["--rate", "\($0)"] } ?? [])
        case .churn(let concurrency):
            return ["churn", "--protocol", name.rawValue, "--concurrency", "\(concurrency)"]
        case .idle(_, let connections):
            return ["idle", "--protocol", name.rawValue, "--connections", "\(connections)"]
        }
    }
}

/// What a server does.
enum Service: String, Codable, CaseIterable {
    case echo
    case pubsub
}

/// What a server speaks, in the words of `load --protocol`.
enum WireProtocol: String, Codable {
    case echo
    case http
    case line
    case nats
    case redis
}
