import ArgumentParser
import Foundation

/// Runs the matrix and writes the tables.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the matrix, or a part of it, and writes the tables.",
        discussion: """
            A PATTERN is a part of a name, or has wildcards: --case fanout --server 'c-*'. An option may be given more than \
            once. Build first, with `make benchmark-build`; a peer that has not been built or installed is left out.
            """
    )

    @Flag(help: "A part of the matrix that ends within three minutes.")
    var quick = false

    @Option(name: .customLong("case"), help: ArgumentHelp("Only cases whose name matches.", valueName: "pattern"))
    var cases: [String] = []

    @Option(
        name: .customLong("server"),
        help: ArgumentHelp("Only servers whose name matches; ours takes part in any case.", valueName: "pattern"))
    var servers: [String] = []

    @Option(help: "How often each case is measured with each server.")
    var rounds = 3

    @Option(help: ArgumentHelp("How long the measured window is; 2, or 0.7 with --quick.", valueName: "seconds"))
    var duration: Double?

    @Option(help: ArgumentHelp("Write the tables there as well as to standard output.", valueName: "file.md"))
    var output: String?

    @Option(help: ArgumentHelp("Write all that was measured there.", valueName: "file"))
    var json: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Keep the cores from sleeping, with a process on each that gives way to all others; see the README.")
    var keepAwake = true

    @Flag(help: "List cases, servers and targets, and measure nothing.")
    var list = false

    @Option(help: ArgumentHelp("The samples program of the library, if not the one of this checkout.", valueName: "path"))
    var samples: String?

    func validate() throws {
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be from 1 to 1000") }
        guard duration.map({ (0.1...3600).contains($0) }) ?? true else {
            throw ValidationError("--duration must be from 0.1 to 3600 seconds")
        }
    }

    func run() throws {
        let programs = try Programs(samples: samples)
        let selection = Selection(quick: quick, cases: cases, servers: servers)
        let all = Peer.all(programs)
        if list { return Listing(selection: selection, peers: all).print() }

        var notes: [String] = []
        let peers = all.filter { selection.takes($0) }.filter { peer in
            guard let reason = peer.whyMissing else { return true }
            notes.append("\(peer.name) is left out: \(reason).")
            return false
        }
        let plan = Plan(cases: selection.cases, peers: peers, rounds: rounds)
        guard !plan.isEmpty || selection.takesDispatch else {
            throw ValidationError("no case is left; --list shows what there is")
        }

        let window = Window(
            warmup: quick ? 0.25 : 0.5, duration: duration ?? (quick ? 0.7 : 2), countingDuration: quick ? 0.25 : 1)
        let scratch = try ScratchFolder()
        defer { scratch.remove() }
        let interruption = Interruption(scratch)
        defer { interruption.cancel() }

        let cores = Cores()
        notes += cores.notes
        let measurer = Measurer(programs: programs, cores: cores, window: window, scratch: scratch)
        var execution = Execution(plan: plan, measurer: measurer, progress: Progress(steps: plan.stepCount))
        let others = OtherWork()
        let wakefulness = keepAwake ? try Wakefulness(cores, folder: scratch) : nil
        let results = execution.run()
        notes += measurer.notes
        let dispatch = selection.takesDispatch
            ? measureDispatch(programs, cores: cores, scratch: scratch, notes: &notes) : nil
        wakefulness?.end()
        notes += Run.warning(others.share)
        if keepAwake { notes.append("The cores were kept from sleeping (`--keep-awake`).") }

        let report = Report(
            header: Header(peers: peers, rounds: rounds, window: window, notes: notes),
            results: results, dispatch: dispatch, targets: Target.all)
        try write(report)
        if results.contains(where: { !$0.failures.isEmpty }) { throw ExitCode(1) }
    }

    private func measureDispatch(
        _ programs: Programs, cores: Cores, scratch: ScratchFolder, notes: inout [String]
    ) -> Dispatch? {
        do {
            return try Dispatch.measure(programs, cores: cores, rounds: rounds, scratch: scratch)
        } catch {
            notes.append("**Dispatch has not been measured:** \(error)")
            return nil
        }
    }

    /// Nobody else may work on a machine that measures; a little always goes on.
    private static func warning(_ share: Double?) -> [String] {
        guard let share, share > 0.03 else { return [] }
        return [
            """
            **Others used \(Int((100 * share).rounded())) % of the machine meanwhile.** The figures are not to be relied on.
            """
        ]
    }

    private func write(_ report: Report) throws {
        let text = report.markdown
        print(text)
        if let output { try write(Data(text.utf8), to: output) }
        if let json { try write(report.json, to: json) }
    }

    private func write(_ data: Data, to path: String) throws {
        let file = URL(fileURLWithPath: path)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try data.write(to: file)
    }
}
