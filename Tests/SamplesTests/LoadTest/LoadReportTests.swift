import Foundation
import FoundationXML
import Testing

@testable import samples

/// What load generators tell, and in which forms.
@Suite struct LoadReportTests {
    /// A report of so many operations, of 1 µs, 2 µs, … each.
    private func report(_ count: UInt64 = 10_000, title: String = "a test of <\"quotes\"> & signs") -> LoadReport {
        let recorder = LatencyRecorder()
        for number in 0..<count { recorder.record((number + 1) * 1_000, bytes: 100) }
        var report = LoadReport(title: title, unit: "deliveries", latency: recorder, client: "subscriber")
        report.seconds = 2
        for tick in UInt64(1)...20 { report.series.note(total: count * tick / 20, at: tick * 100_000_000) }
        report.rates = [1_000, 2_000, 3_000]
        report.meanLatencies = [1e6, 2e6]
        report.ourTime = ProcessCounters(user: 1, system: 0.5)
        report.ourSystemCalls = 500
        report.counts = [("lost", 3), ("slow disconnected", 1)]
        report.failures = ["3 deliveries were lost"]
        report.settings = [("size", .text("64-128")), ("messages", .null)]
        return report
    }

    @Test func theTable() {
        let table = report().table
        for text in [
            "10,000 in 2.00 s", "5,000 deliveries/s, 0.50 MB/s", "p50 5.00 ms", "p99 9.9", "p99.9 ", "max 10.0 ms",
            "min 1,000/s   avg 2,000/s   max 3,000/s   stddev 816/s", "1.00 s user, 0.50 s system, 150 µs for each",
            "(75 % of a core)", "here 0.0500", "lost 3, slow disconnected 1",
        ] { #expect(table.contains(text), "\(text) in \(table)") }
    }

    @Test func jsonDecodes() throws {
        let json = try JSONSerialization.jsonObject(with: Data(report().json.text.utf8)) as? [String: Any]
        let object = try #require(json)
        #expect(object["title"] as? String == "a test of <\"quotes\"> & signs")
        #expect(object["count"] as? Int == 10_000)
        #expect(object["per_second"] as? Double == 5_000)
        #expect((object["counts"] as? [String: Int]) == ["lost": 3, "slow_disconnected": 1])
        #expect(object["failures"] as? [String] == ["3 deliveries were lost"])
        let latency = try #require(object["latency_ns"] as? [String: Double])
        #expect(latency["max"] == 10_000_000 && abs((latency["p50"] ?? 0) - 5_000_000) < 5_000)
        #expect((object["rate_over_time"] as? [[Double]])?.count == 20)
        #expect((object["settings"] as? [String: Any])?["messages"] is NSNull)
    }

    @Test func jsonOfNothingDecodes() throws {
        let empty = LoadReport(title: "\u{1}\n\\", unit: "echoes", latency: LatencyRecorder(), client: "connection")
        let json = try JSONSerialization.jsonObject(with: Data(empty.json.text.utf8)) as? [String: Any]
        #expect(json?["title"] as? String == "\u{1}\n\\")
        #expect(json?["count"] as? Int == 0)
        #expect(!empty.table.isEmpty)
    }

    @Test func theHistogramIsInItsTextFormat() throws {
        let lines = report().histogramText.split(separator: "\n")
        #expect(lines.first?.split(separator: " ") == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"])
        let rows = lines.dropFirst().prefix { !$0.hasPrefix("#") }
            .map { $0.split(separator: " ").map { Double($0) ?? .nan } }
        #expect(rows.count > 20)
        #expect(zip(rows, rows.dropFirst()).allSatisfy { $0[0] <= $1[0] && $0[1] <= $1[1] && $0[2] <= $1[2] })
        let last = try #require(rows.last)
        // In microseconds, with three digits.
        #expect(abs(last[0] - 10_000) < 10 && last[1] == 1 && last[2] == 10_000 && last.count == 3)
        #expect(lines.contains { $0.hasPrefix("#[Mean") } && lines.contains { $0.hasPrefix("#[Buckets") })
    }

    @Test(arguments: [0, 1, 2, 10_000]) func thePlotIsXML(count: UInt64) {
        let svg = PercentilePlot(report(count)).svg
        let parser = XMLParser(data: Data(svg.utf8))
        #expect(parser.parse(), "\(String(describing: parser.parserError))")
        #expect(svg.contains("&lt;&quot;quotes&quot;&gt; &amp; signs"))
        #expect(!svg.contains("nan") && !svg.contains("inf"))
        if count == 10_000 {
            for text in [">99.99 %<", ">p99.9 ", ">max 10.0 ms<", ">10 µs<"] { #expect(svg.contains(text), "\(text)") }
        }
    }

    @Test func stepsAreRound() {
        #expect(PercentilePlot.steps(to: 100, about: 4) == [0, 25, 50, 75, 100])
        #expect(PercentilePlot.steps(to: 1_234_567, about: 4) == [0, 500_000, 1_000_000, 1_500_000])
        #expect(PercentilePlot.steps(to: 0, about: 4) == [0, 1])
    }

    @Test func theRateOverTime() {
        var series = RateSeries(interval: 100, mostSamples: 4)
        series.note(total: 10, at: 99)
        #expect(series.counts == [])
        series.note(total: 10, at: 100)
        series.note(total: 30, at: 300)
        #expect(series.counts == [10, 10, 10])
        series.note(total: 34, at: 400)
        series.note(total: 40, at: 500)
        // It has become coarser; what is not a whole sample yet is counted with the next.
        #expect(series.interval == 200 && series.counts == [20, 14])
        series.note(total: 50, at: 600)
        #expect(series.counts == [20, 14, 16])
        #expect(series.counts.reduce(0, +) == 50)
        #expect(series.points.map(\.time) == [1e-7, 3e-7, 5e-7])
    }

    /// A look in the middle of a sample counts for it and for the next.
    @Test func looksBetweenSamples() {
        var series = RateSeries(interval: 100)
        for look in 1...10 { series.note(total: UInt64(look) * 190, at: UInt64(look) * 190) }
        #expect(series.counts.count == 19 && series.counts.allSatisfy { (99...101).contains($0) })
    }

    /// What is no whole sample in the end is not lost.
    @Test func theEndOfTheRate() {
        var series = RateSeries(interval: 100)
        series.note(total: 10, at: 100)
        series.end(total: 25, at: 150)
        #expect(series.counts == [25] && series.points.map(\.rate) == [25 / 150e-9])
        var brief = RateSeries(interval: 100)
        brief.end(total: 7, at: 10)
        #expect(brief.counts == [7] && brief.points.map(\.rate) == [7 / 10e-9])
    }

    @Test func aLateLookAtTheRate() {
        var series = RateSeries(interval: 1, mostSamples: 8)
        series.end(total: 1_000, at: 1_000_000)
        #expect(series.counts.count <= 8 && series.counts.reduce(0, +) == 1_000)
    }

    @Test func theSpread() {
        let spread = Spread([2, 4, 4, 4, 5, 5, 7, 9])
        #expect(spread?.least == 2 && spread?.mean == 5 && spread?.most == 9 && spread?.standardDeviation == 2)
        #expect(Spread([]) == nil)
    }

    @Test func amounts() {
        let times = [0, 999, 1_000, 12_345, 999_499, 999_501, 1_234_567, 12_000_000_000].map {
            Amount.time(nanoseconds: UInt64($0))
        }
        #expect(times == ["0 ns", "999 ns", "1.00 µs", "12.3 µs", "999 µs", "1.00 ms", "1.23 ms", "12.0 s"])
        let numbers = [0, 1.234, 12.34, 123.4, 1_234.5, 9.996].map(Amount.short)
        #expect(numbers == ["0.00", "1.23", "12.3", "123", "1,235", "10.0"])
        #expect(Amount.grouped(UInt64(1_234_567)) == "1,234,567" && Amount.grouped(UInt64(999)) == "999")
        #expect(Amount.fixed(-1.005, 1) == "-1.0" && Amount.fixed(2.5, 0) == "3" && Amount.fixed(.nan, 1) == "-")
    }

    @Test func theProcessorTimeOfAProcess() {
        let fields = "7 (a) b) (c) S 1 7 7 0 -1 4194560 900 0 0 0 123 45 0 0 20 0 2 0 100 1000 200 18446744073709551615"
        #expect(ProcessCounters(stat: fields, ticksPerSecond: 100) == ProcessCounters(user: 1.23, system: 0.45))
        #expect(ProcessCounters(stat: "7 (a) S 1", ticksPerSecond: 100) == nil)
        #expect(ProcessCounters(of: getpid()) != nil)
        #expect(ProcessCounters(of: -1) == nil)
    }
}

/// How far it is.
@Suite struct ProgressLineTests {
    @Test func onATerminalItIsWrittenOver() {
        var written = ""
        let line = ProgressLine(isTerminal: true) { written += $0 }
        line.show(0.5, at: 1_000_000_000, "half")
        #expect(written == "\r\u{1b}[K[############............] half")
        // Not too often.
        line.show(0.6, at: 1_100_000_000, "more")
        #expect(!written.contains("more"))
        line.show(1, at: 1_200_000_000, "all")
        line.clear()
        line.clear()
        #expect(written.hasSuffix("\r\u{1b}[K[########################] all\r\u{1b}[K"))
    }

    @Test func elsewhereItIsALineASecond() {
        var written = ""
        let line = ProgressLine(isTerminal: false) { written += $0 }
        for tick in UInt64(0)..<25 { line.show(Double(tick) / 25, at: tick * 100_000_000, "tick \(tick)") }
        line.clear()
        #expect(written == "0 %  tick 0\n40 %  tick 10\n80 %  tick 20\n")
    }
}
