import Foundation

/// All that a run has shown.
struct Report: Codable {
    let header: Header
    let results: [CaseResult]
    let dispatch: Dispatch?
    let targets: [TargetOutcome]

    init(header: Header, results: [CaseResult], dispatch: Dispatch?, targets: [Target]) {
        self.header = header
        self.results = results
        self.dispatch = dispatch
        self.targets = targets.map { TargetOutcome($0, results, dispatch) }
    }

    var json: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            encoder.keyEncodingStrategy = .convertToSnakeCase
            return try encoder.encode(self)
        }
    }

    var markdown: String {
        ([headerText] + Case.Group.allCases.compactMap(section)
            + [dispatch?.section, targetText, failureText].compactMap(\.self))
            .joined(separator: "\n")
    }

    private var headerText: String {
        let window = header.window
        let peers = header.peers.map { "  - \($0.name): \($0.description)\($0.version.map { " (\($0))" } ?? "")\n" }.joined()
        let notes = header.notes.map { "- \($0)\n" }.joined()
        return """
            # Measurements

            - \(header.date), Linux \(header.kernel), \(header.processor)
            - `\(header.commandLine)`
            - \(header.rounds) round\(header.rounds == 1 ? "" : "s"), each with all servers in turn and in another order; \
            a warm-up of \(window.warmup) s and a window of \(window.duration) s. Figures are medians of the rounds. \
            System calls and allocations are counted in a pass of their own, of \(window.countingDuration) s.
            - Ratios are ours divided by the other's, in CPU time or, of idle connections, memory: the median of the \
            ratios of the rounds, and the lowest and the highest. *Tie* means within the noise: \
            \(Int(Ratio.noise * 100)) % or less from 1, or not on the same side of 1 in all rounds.
            - Servers:
            \(peers)\(notes)
            """
    }

    // MARK: - Groups

    private func section(_ group: Case.Group) -> String? {
        let results = results.filter { $0.testCase.group == group }
        guard !results.isEmpty else { return nil }
        let columns = group.columns
        var table = MarkdownTable(
            [("case", .left), ("server", .left)] + columns.map { ($0.title, .right) } + [("ours ÷ it", .right), ("", .left)])
        for result in results {
            for (index, server) in result.servers.enumerated() {
                let ratio = server.server == Peer.ours ? nil : result.ratio(group.compared, Peer.ours, by: server.server)
                let figures = columns.map { $0.format(server.median($0.metric)) }
                let failed = server.failures.isEmpty ? [] : ["failed: see below"]
                table.add(
                    [index == 0 ? result.testCase.name : "", server.server] + figures + [Format.ratio(ratio)]
                        + [(failed + [ratio?.verdict].compactMap(\.self)).joined(separator: ", ")])
            }
        }
        return "## \(group.title)\n\n\(group.unit)\n\n\(table.text)"
    }

    // MARK: - Targets

    private var targetText: String? {
        guard !targets.isEmpty else { return nil }
        var table = MarkdownTable([
            ("target", .left), ("at most", .right), ("measured", .right), ("", .left), ("where", .left),
        ])
        for target in targets {
            table.add([
                target.text, Format.figure(target.limit), Format.figure(target.figure), target.verdict.rawValue,
                target.place,
            ])
        }
        return """
            ## Targets

            The measured figure is that of the worst case, if nothing else is said. A *tie* is above its limit, but not in \
            all rounds.

            \(table.text)
            """
    }

    // MARK: - Failures

    private var failureText: String? {
        let failures = results.flatMap(\.failures)
        guard !failures.isEmpty else { return nil }
        return "## Failed\n\n" + failures.map { "- \($0)\n" }.joined()
    }
}

extension Ratio {
    fileprivate var verdict: String { isWithinNoise ? "tie" : median < 1 ? "better" : "worse" }
}

extension TargetOutcome {
    fileprivate var place: String {
        guard caseCount > 0 else { return "" }
        guard !above.isEmpty, verdict != .met || decidingCase != nil else { return decidingCase ?? "of \(caseCount) cases" }
        let names = above.suffix(4).reversed().joined(separator: ", ")
        return "above in \(above.count) of \(caseCount): \(names)\(above.count > 4 ? ", …" : "")"
    }
}
