import SystemPackage
import Testing

@testable import UringReactor

/// What the callbacks of one operation were told.
final class Outcomes<Value> {
    private(set) var all: [Result<Value, IOError>] = []

    /// The callback to hand over.
    var note: (Result<Value, IOError>) -> Void { { self.all.append($0) } }
    var count: Int { all.count }
    var values: [Value] { all.compactMap { try? $0.get() } }
    var errors: [IOError] {
        all.compactMap { if case .failure(let error) = $0 { error } else { nil } }
    }
    /// The one outcome, if it was a failure.
    var onlyError: IOError? { count == 1 ? errors.first : nil }
    /// The one outcome, if it was a success.
    var onlyValue: Value? { count == 1 ? values.first : nil }
}

extension Reactor {
    /// A reactor whose reports become failures of the test, but for those it expects.
    static func quiet(
        kernel: any Kernel = IOUringKernel(), _ configure: (inout ReactorConfiguration) -> Void = { _ in }
    ) throws -> Reactor {
        var configuration = ReactorConfiguration()
        configuration.onReport = { Issue.record("unexpected report: \($0)") }
        configure(&configuration)
        return try Reactor(configuration: configuration, kernel: kernel)
    }

    /// Runs until idle and checks that nothing is left of anything.
    func runToIdle() throws {
        try run(.untilIdle)
        let statistics = statistics
        #expect(statistics.operations == 0)
        #expect(statistics.staleCompletions == 0)
    }
}

extension Connection {
    /// The table behind it, to look into.
    var table: ConnectionTable { use { $0 } }
}
