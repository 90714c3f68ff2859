import Foundation

/// How long a measurement takes, in seconds.
struct Window: Codable, Equatable {
    let warmup: Double
    let duration: Double
    /// Counts need no precision of time.
    let countingDuration: Double
}

/// Measures one server with one workload: starts it, loads it, ends it.
final class Measurer {
    private let programs: Programs
    private let cores: Cores
    private let window: Window
    private let scratch: ScratchFolder
    /// What could not be counted, and why.
    private(set) var notes: [String] = []
    private var countsSyscalls = true
    private let countsAllocations: Bool

    init(programs: Programs, cores: Cores, window: Window, scratch: ScratchFolder) {
        self.programs = programs
        self.cores = cores
        self.window = window
        self.scratch = scratch
        countsAllocations = FileManager.default.fileExists(atPath: programs.allocationCounter)
        if !countsAllocations { notes.append("Allocations are not counted: libcountallocations.so has not been built.") }
    }

    /// One window without counting.
    func measure(_ workload: Workload, _ peer: Peer) throws -> Measurement {
        try measure(workload, peer, counting: .nothing)
    }

    /// A window of its own in which system calls and allocations are counted, so that counting disturbs no time.
    func count(_ workload: Workload, _ peer: Peer) throws -> Measurement {
        let allocations = countsAllocations && peer.countsAllocations
        guard countsSyscalls else { return try measure(workload, peer, counting: .init(allocations: allocations)) }
        do {
            return try measure(workload, peer, counting: .init(syscalls: true, allocations: allocations))
        } catch {
            // Counting them takes rights that not everyone has. If it was that, it works without.
            guard let result = try? measure(workload, peer, counting: .init(allocations: allocations)) else { throw error }
            countsSyscalls = false
            notes.append("System calls are not counted: \(error)")
            return result
        }
    }

    private struct Counting {
        var syscalls = false
        var allocations = false
        static let nothing = Counting()
        var isTimed: Bool { !syscalls && !allocations }
    }

    private func measure(_ workload: Workload, _ peer: Peer, counting: Counting) throws -> Measurement {
        guard let wireProtocol = peer.wireProtocol(workload) else { throw Problem("\(peer.name) does not do this") }
        let folder = try scratch.makeFolder(peer.name)
        let counter = folder.appendingPathComponent("allocations")
        var preload: [String: String] = [:]
        if counting.allocations {
            preload = ["LD_PRELOAD": programs.allocationCounter, "COUNT_ALLOCATIONS_FILE": counter.path]
        }
        let server = try RunningServer(peer.launch(workload), preload: preload, core: cores.server, folder: folder)
        defer { server.child.terminate() }

        let duration = counting.isTimed ? window.duration : window.countingDuration
        var arguments = workload.arguments(protocol: wireProtocol)
        arguments += ["--port", "\(server.port)", "--server-pid", "\(server.child.pid)"]
        arguments += ["--warmup", "\(window.warmup)", "--duration", "\(duration)"]
        if counting.syscalls { arguments.append("--count-syscalls") }
        if counting.allocations { arguments += ["--allocation-counter", counter.path] }
        let load = try Child(programs.load, arguments, core: cores.load, folder: folder, name: "load")
        defer { load.terminate() }
        // It sees stalls itself. This is for one that hangs.
        guard let end = load.wait(.seconds(window.warmup + duration + 60)) else {
            throw Problem("the load generator hangs", load)
        }
        if let serverEnd = server.child.end { throw Problem("the server ended: \(serverEnd)", server.child) }
        guard end == .exited(0) else {
            let said = Problem.end(of: server.child.errorText)
            throw Problem("load: \(end)\(said.isEmpty ? "" : "; the server says: \(said)")", load)
        }
        do {
            return try Measurement(json: load.outputText)
        } catch {
            throw Problem("load has printed what cannot be read: \(load.outputText.prefix(200))")
        }
    }
}
