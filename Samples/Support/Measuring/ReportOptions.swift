import ArgumentParser
import SystemPackage

/// Where a load generator writes what it has found, besides the table on standard output.
struct ReportOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Write the report as JSON too.", valueName: "file"))
    var json: String?

    @Option(
        help: ArgumentHelp(
            "Write the distribution of latencies, in microseconds, in HdrHistogram's text format.", valueName: "file"))
    var histogram: String?

    @Option(
        help: ArgumentHelp("Draw latency by percentile, and the rate over time, as SVG.", valueName: "file"))
    var plot: String?

    /// Creates the files, so that it is known before the run whether they can be written.
    func prepare() throws {
        for path in [json, histogram, plot].compactMap({ $0 }) { try ReportOptions.write("", to: path) }
    }

    /// Prints the table and what failed, and writes the files.
    ///
    /// - Throws: `ExitCode` 1 if something failed.
    func publish(_ report: LoadReport) throws {
        printLine(report.table)
        if let json { try ReportOptions.write(report.json.text + "\n", to: json) }
        if let histogram { try ReportOptions.write(report.histogramText, to: histogram) }
        if let plot { try ReportOptions.write(PercentilePlot(report).svg, to: plot) }
        for failure in report.failures { printError("failed: \(failure)") }
        if !report.failures.isEmpty { throw ExitCode.failure }
    }

    private static func write(_ text: String, to path: String) throws {
        do {
            let file = try FileDescriptor.open(
                FilePath(path), .writeOnly, options: [.create, .truncate],
                permissions: [.ownerReadWrite, .groupRead, .otherRead])
            try file.closeAfter { _ = try file.writeAll(text.utf8) }
        } catch {
            throw ValidationError("\(path) cannot be written: \(error)")
        }
    }
}
