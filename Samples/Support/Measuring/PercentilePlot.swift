import Glibc

/// Two charts as SVG: latency by percentile, with the distance to 100 % on a logarithmic axis, so that the rare and slow
/// have as much room as the many; and the rate over time.
struct PercentilePlot {
    private let report: LoadReport

    init(_ report: LoadReport) { self.report = report }

    /// Where a chart lies: the plane between its axes.
    private struct Plane {
        let (left, top, width, height): (Double, Double, Double, Double)
        var right: Double { left + width }
        var bottom: Double { top + height }
    }

    private static let width = 960.0
    private static let height = 720.0
    private static let latencyPlane = Plane(left: 96, top: 96, width: 824, height: 310)
    private static let ratePlane = Plane(left: 96, top: 496, width: 824, height: 160)

    /// The whole file.
    var svg: String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(PercentilePlot.width)) \(Int(PercentilePlot.height))" \
        width="\(Int(PercentilePlot.width))" height="\(Int(PercentilePlot.height))" role="img">
        <title>\(PercentilePlot.escaped(report.title))</title>
        <style>
        text { font: 13px "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; fill: #4a5568 }
        .title { font-size: 19px; font-weight: 600; fill: #1a202c }
        .heading { font-size: 14px; font-weight: 600; fill: #2d3748 }
        .note { font-size: 12px; fill: #718096 }
        .grid { stroke: #e2e8f0; stroke-width: 1 }
        .axis { stroke: #a0aec0; stroke-width: 1 }
        .latency { fill: none; stroke: #2b6cb0; stroke-width: 2.5; stroke-linejoin: round }
        .rate { fill: none; stroke: #2f855a; stroke-width: 2; stroke-linejoin: round }
        .under { fill: #2f855a; fill-opacity: 0.12 }
        .dot { fill: #2b6cb0; stroke: #ffffff; stroke-width: 1.5 }
        </style>
        <rect width="100%" height="100%" fill="#ffffff"/>
        \(text(title, 40, 36, class: "title"))
        \(text(choices, 40, 56, class: "note"))
        \(text(summary, PercentilePlot.latencyPlane.right, 36, anchor: "end", class: "note"))
        \(latencyChart.joined(separator: "\n"))
        \(rateChart.joined(separator: "\n"))
        </svg>

        """
    }

    /// The title up to its first comma, and what follows.
    private var title: String { String(report.title.prefix { $0 != "," }) }
    private var choices: String { String(report.title.dropFirst(title.count).drop { $0 == "," || $0 == " " }) }

    private var summary: String {
        "\(Amount.grouped(report.latency.count)) \(report.unit) in \(Amount.fixed(report.seconds, 2)) s: "
            + "\(Amount.short(report.rate))/s, \(Amount.short(report.megabytesPerSecond)) MB/s"
    }

    // MARK: - Latency

    private var latencyChart: [String] {
        let plane = PercentilePlot.latencyPlane
        var lines = [text("Latency by percentile", plane.left, plane.top - 12, class: "heading")]
        guard report.latency.count > 0 else {
            return lines + [text("nothing was measured", plane.left, plane.top + 20, class: "note")]
        }
        let points = distribution
        // As many nines as there were operations to tell them apart.
        let nines = max(1, log10(Double(report.latency.count)).rounded(.up))
        let decades = decades(of: points.map(\.latency))
        func x(_ beyond: Double) -> Double {
            plane.left + plane.width * min(max(0, -log10(max(beyond, 1e-12))), nines) / nines
        }
        func y(_ latency: Double) -> Double {
            let share = (log10(max(latency, 1)) - decades.lowerBound) / (decades.upperBound - decades.lowerBound)
            return plane.bottom - plane.height * min(max(share, 0), 1)
        }
        for decade in stride(from: decades.lowerBound, through: decades.upperBound, by: 1) {
            let height = y(pow(10, decade))
            lines.append(line(plane.left, height, plane.right, height, class: "grid"))
            lines.append(text(roundTime(pow(10, decade)), plane.left - 10, height + 4, anchor: "end"))
        }
        for number in 0...Int(nines) {
            let place = x(pow(10, -Double(number)))
            lines.append(line(place, plane.top, place, plane.bottom, class: "grid"))
            lines.append(text(PercentilePlot.percent(number), place, plane.bottom + 20, anchor: "middle"))
        }
        lines.append(line(plane.left, plane.bottom, plane.right, plane.bottom, class: "axis"))
        lines.append(polyline(points.map { (x($0.beyond), y($0.latency)) }, class: "latency"))
        for (name, percentile) in LoadReport.percentiles {
            let value = report.latency.percentile(percentile)
            let place = percentile == 100 ? plane.right : x(1 - percentile / 100)
            guard place <= plane.right else { continue }
            lines.append(dot(place, y(Double(value))))
            // Below the curve, which never falls, there is room, unless the axis is there.
            let isLast = place > plane.right - 90
            let below = y(Double(value)) + 20
            lines.append(
                text(
                    "\(name) \(Amount.time(nanoseconds: value))", isLast ? place : place + 8,
                    below > plane.bottom - 4 ? y(Double(value)) - 12 : below, anchor: isLast ? "end" : "start",
                    class: "note"))
        }
        return lines
    }

    /// Latencies with the share of operations that took longer.
    private var distribution: [(beyond: Double, latency: Double)] {
        var points: [(beyond: Double, latency: Double)] = []
        let total = Double(report.latency.count)
        var below = 0.0
        for value in report.latency.histogram.percentiles(ticksPerHalfDistance: 20) {
            let latency = Double(value.value)
            // The value holds from where the one before ended.
            points.append((1 - below / total, latency))
            below = Double(value.totalCountToThisValue)
            points.append((max(1 - below / total, 0.1 / total), latency))
        }
        return points
    }

    /// The powers of ten around some values.
    private func decades(of values: [Double]) -> ClosedRange<Double> {
        let least = log10(max(values.min() ?? 1, 1)).rounded(.down)
        let most = log10(max(values.max() ?? 10, 1)).rounded(.up)
        return least...max(most, least + 1)
    }

    /// 0 %, 90 %, 99 %, 99.9 %, …
    private static func percent(_ nines: Int) -> String {
        switch nines {
        case 0: "0 %"
        case 1: "90 %"
        case 2: "99 %"
        default: "99." + String(repeating: "9", count: nines - 2) + " %"
        }
    }

    private func roundTime(_ nanoseconds: Double) -> String {
        switch nanoseconds {
        case ..<1e3: "\(Int(nanoseconds)) ns"
        case ..<1e6: "\(Int(nanoseconds / 1e3)) µs"
        case ..<1e9: "\(Int(nanoseconds / 1e6)) ms"
        default: "\(Int(nanoseconds / 1e9)) s"
        }
    }

    // MARK: - Rate

    private var rateChart: [String] {
        let plane = PercentilePlot.ratePlane
        let points = report.series.points
        var lines = [text("\(report.unit)/s over time", plane.left, plane.top - 12, class: "heading")]
        guard let last = points.last else {
            return lines + [text("shorter than a sample", plane.left, plane.top + 20, class: "note")]
        }
        let steps = PercentilePlot.steps(to: points.reduce(0) { max($0, $1.rate) }, about: 4)
        let most = steps.last ?? 1
        let end = max(last.time + Double(report.series.interval) / 2e9, 1e-9)
        func x(_ time: Double) -> Double { plane.left + plane.width * time / end }
        func y(_ rate: Double) -> Double { plane.bottom - plane.height * rate / most }
        for step in steps {
            lines.append(line(plane.left, y(step), plane.right, y(step), class: "grid"))
            lines.append(text(PercentilePlot.brief(step), plane.left - 10, y(step) + 4, anchor: "end"))
        }
        for second in PercentilePlot.steps(to: end, about: 8) where second <= end {
            lines.append(text("\(Amount.fixed(second, second < 10 && second.rounded() != second ? 2 : 0)) s",
                x(second), plane.bottom + 20, anchor: "middle"))
        }
        lines.append(line(plane.left, plane.bottom, plane.right, plane.bottom, class: "axis"))
        let curve = points.map { (x($0.time), y($0.rate)) }
        if let first = curve.first, let last = curve.last {
            let area = [(first.0, plane.bottom)] + curve + [(last.0, plane.bottom)]
            lines.append("<polygon class=\"under\" points=\"\(coordinates(area))\"/>")
        }
        lines.append(polyline(curve, class: "rate"))
        return lines
    }

    /// Round numbers from 0 to the first one that is not below `most`.
    static func steps(to most: Double, about count: Int) -> [Double] {
        guard most > 0, most.isFinite else { return [0, 1] }
        let raw = most / Double(count)
        let magnitude = pow(10, log10(raw).rounded(.down))
        let step = [1, 2, 2.5, 5, 10].map { $0 * magnitude }.first { $0 >= raw * 0.999 } ?? raw
        return (0...Int((most / step).rounded(.up))).map { Double($0) * step }
    }

    /// `250k`, `1.5M`.
    private static func brief(_ number: Double) -> String {
        func cut(_ number: Double) -> String {
            let text = Amount.fixed(number, 2)
            return String(text.reversed().drop { $0 == "0" }.drop { $0 == "." }.reversed())
        }
        switch number {
        case 0: return "0"
        case ..<1e3: return cut(number)
        case ..<1e6: return cut(number / 1e3) + "k"
        default: return cut(number / 1e6) + "M"
        }
    }

    // MARK: - Elements

    private func text(
        _ text: String, _ x: Double, _ y: Double, anchor: String = "start", class: String = ""
    ) -> String {
        let classes = `class`.isEmpty ? "" : " class=\"\(`class`)\""
        return "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\"\(classes)>"
            + PercentilePlot.escaped(text) + "</text>"
    }

    private func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, class: String) -> String {
        "<line class=\"\(`class`)\" x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\"/>"
    }

    private func dot(_ x: Double, _ y: Double) -> String {
        "<circle class=\"dot\" cx=\"\(number(x))\" cy=\"\(number(y))\" r=\"4.5\"/>"
    }

    private func polyline(_ points: [(Double, Double)], class: String) -> String {
        "<polyline class=\"\(`class`)\" points=\"\(coordinates(points))\"/>"
    }

    private func coordinates(_ points: [(Double, Double)]) -> String {
        points.map { "\(number($0.0)),\(number($0.1))" }.joined(separator: " ")
    }

    private func number(_ value: Double) -> String { Amount.fixed(value, 1) }

    static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
