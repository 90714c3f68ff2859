import Foundation
import Glibc

/// How much of the machine others have used while something was measured: what makes figures worthless most often.
struct OtherWork {
    private let began = ContinuousClock.now
    private let busyAtFirst = OtherWork.busySeconds()
    private let ownAtFirst = OtherWork.ownSeconds()

    /// The share of all cores, from 0 to 1, since this was made. Nil if the kernel does not say.
    var share: Double? {
        guard let before = busyAtFirst, let after = OtherWork.busySeconds() else { return nil }
        let available = (ContinuousClock.now - began) / .seconds(1) * Double(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let others = (after - before) - (OtherWork.ownSeconds() - ownAtFirst)
        return available > 0 ? min(1, max(0, others / available)) : nil
    }

    /// What all cores have spent on anything, and what a hypervisor has taken from them (proc_stat(5)).
    private static func busySeconds() -> Double? {
        guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8) else { return nil }
        return busyTicks(text).map { $0 / Double(sysconf(Int32(_SC_CLK_TCK))) }
    }

    /// The first line: user, nice, system, idle, iowait, irq, softirq, steal; all but idle and iowait.
    static func busyTicks(_ stat: String) -> Double? {
        guard let line = stat.split(separator: "\n").first, line.hasPrefix("cpu ") else { return nil }
        let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
        guard ticks.count == 8 else { return nil }
        return ticks.reduce(0, +) - ticks[3] - ticks[4]
    }

    /// This program's time, and that of those it has waited for.
    private static func ownSeconds() -> Double {
        [RUSAGE_SELF.rawValue, RUSAGE_CHILDREN.rawValue].reduce(0) { sum, who in
            var usage = rusage()
            getrusage(who, &usage)
            return sum + seconds(usage.ru_utime) + seconds(usage.ru_stime)
        }
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
}
