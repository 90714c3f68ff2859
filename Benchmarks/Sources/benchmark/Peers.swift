import Foundation

extension Peer {
    /// All, in the order of the tables.
    static func all(_ programs: Programs) -> [Peer] {
        [
            samples(ours, "this library, state machines", programs, style: "state-machine", services: [.echo, .pubsub]),
            samples(oursWithCallbacks, "this library, callbacks", programs, style: "callbacks", services: [.echo]),
            twin("c-uring", "C with liburing", programs.built("twin-uring")) {
                Programs.firstLine(of: "pkg-config", ["--modversion", "liburing"]).map { "liburing \($0)" }
            },
            twin("c-epoll", "C with epoll", programs.built("twin-epoll")),
            twin("nio", "SwiftNIO, one event loop", programs.built("twin-nio")) {
                programs.resolvedVersion(ofPackage: "swift-nio").map { "swift-nio \($0)" }
            },
            twin("tokio", "Tokio (Rust), current_thread", programs.twin("twin-tokio")) {
                programs.tokioVersion.map { "tokio \($0)" }
            },
            go(programs),
            redis(programs), nats(programs), nginx(programs),
        ]
    }

    private static func samples(
        _ name: String, _ description: String, _ programs: Programs, style: String, services: Set<Service>
    ) -> Peer {
        Peer(
            name: name, description: description, isQuick: true,
            wireProtocol: { services.contains($0.service) ? $0.service.ownProtocol($0) : nil },
            launch: { workload in
                switch workload.service {
                case .echo: Launch(program: programs.samples, arguments: ["echo-server", "--style", style])
                // Who comes and goes is logged otherwise, which no other server does.
                case .pubsub: Launch(program: programs.samples, arguments: ["pubsub-server", "--log-level", "warning"])
                }
            },
            whyMissing: Programs.whyMissing(programs.samples))
    }

    private static func twin(
        _ name: String, _ description: String, _ program: String, version: @escaping () -> String? = { nil }
    ) -> Peer {
        Peer(
            name: name, description: description, isQuick: true,
            wireProtocol: { $0.service.ownProtocol($0) },
            launch: { Launch(program: program, arguments: [$0.service.rawValue]) },
            version: version,
            whyMissing: Programs.whyMissing(program))
    }

    private static func go(_ programs: Programs) -> Peer {
        let program = programs.twin("twin-go")
        return Peer(
            name: "go", description: "Go, package net, GOMAXPROCS=1", countsAllocations: false,
            wireProtocol: { $0.service.ownProtocol($0) },
            launch: { Launch(program: program, arguments: [$0.service.rawValue]) },
            version: { Programs.firstLine(of: "go", ["version"]) },
            whyMissing: Programs.whyMissing(program))
    }
}

extension Service {
    /// What our servers and their twins speak.
    fileprivate func ownProtocol(_ workload: Workload) -> WireProtocol {
        switch self {
        case .echo: .echo
        case .pubsub: .line
        }
    }
}
