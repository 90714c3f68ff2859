import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// Runs the same little program on the simulated kernel and on Linux, over loopback. What it finds must be the same.
///
/// `SIDE_BY_SIDE_VERBOSE=1` prints what that was.
func compare(
    entries: Int = 64, completions: Int = 128, descriptors: Int? = nil, _ location: SourceLocation = #_sourceLocation,
    _ program: (TestRing) throws -> [String]
) throws {
    let linux = IOUringKernel()
    let real: [String]
    do {
        let ring = try TestRing(linux, entries: entries, completions: completions)
        real = try program(ring)
        linux.close()
    } catch let error as RingUnavailable {
        Issue.record("no io_uring here: \(error)")
        return
    }
    // What the kernel at hand does not offer, the model does not offer either.
    var configuration = SimulatedKernel.Configuration.quiet
    configuration.capabilities = linux.capabilities
    if let descriptors { configuration.descriptorLimit = descriptors }
    let simulated = SimulatedKernel(configuration: configuration)
    // In words too, below: an exit test hands on nothing else.
    let model = try program(TestRing(simulated, entries: entries, completions: completions))
    #expect(model == real, "simulated: \(model), Linux: \(real)", sourceLocation: location)
    if isVerbose { for line in real { print(line) } }
}

extension SimulatedKernel.Configuration {
    /// For programs that submit wrong things on purpose, to see what comes of it.
    static var quiet: SimulatedKernel.Configuration {
        var configuration = SimulatedKernel.Configuration()
        configuration.rejectsLoudly = false
        return configuration
    }
}

/// The errno a call fails with, in words, or "ok".
func failure(_ body: () throws -> some Any) -> String {
    do {
        _ = try body()
        return "ok"
    } catch {
        return (error as? Errno).map { TestRing.name($0.rawValue) } ?? "\(error)"
    }
}

private let isVerbose = unsafe getenv("SIDE_BY_SIDE_VERBOSE") != nil
