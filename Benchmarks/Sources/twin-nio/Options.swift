import Glibc

/// The command line. By hand, so that the twin has no other dependency than SwiftNIO.
struct Options {
    enum Service: String {
        case echo
        case pubsub
    }

    let service: Service
    /// 0 lets the kernel choose.
    var port = 0

    init(_ arguments: ArraySlice<String>) {
        var rest = arguments
        guard let service = rest.popFirst().flatMap(Service.init) else { Options.explainAndExit() }
        self.service = service
        while let word = rest.popFirst() {
            guard word == "--port", let port = rest.popFirst().flatMap(Int.init), (0...65_535).contains(port) else {
                Options.explainAndExit()
            }
            self.port = port
        }
    }

    private static func explainAndExit() -> Never {
        print("usage: twin-nio echo|pubsub [--port N]")
        exit(64)
    }
}

/// Raises the limit of open descriptors as far as this process may: each connection takes one.
func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}
