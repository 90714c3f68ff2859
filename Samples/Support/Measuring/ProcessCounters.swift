import Glibc
import SystemPackage
import UringReactor

/// The processor time of a process: proc_pid_stat(5).
struct ProcessCounters: Equatable {
    /// Seconds in its own code and in the kernel; in hundredths as a rule.
    var user: Double
    var system: Double

    var total: Double { user + system }

    static func - (left: ProcessCounters, right: ProcessCounters) -> ProcessCounters {
        ProcessCounters(user: left.user - right.user, system: left.system - right.system)
    }

    init(user: Double, system: Double) {
        self.user = user
        self.system = system
    }

    /// Of this process.
    static func ofThisProcess() -> ProcessCounters {
        var usage = rusage()
        _ = unsafe getrusage(RUSAGE_SELF.rawValue, &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return ProcessCounters(user: seconds(usage.ru_utime), system: seconds(usage.ru_stime))
    }

    /// Of another process, or nil if there is none of that number.
    init?(of process: pid_t) {
        guard let bytes = try? Bytes(contentsOf: FilePath("/proc/\(process)/stat"), limit: 4096) else { return nil }
        self.init(stat: String(bytes), ticksPerSecond: Double(sysconf(Int32(_SC_CLK_TCK))))
    }

    /// Of a line of /proc/<pid>/stat.
    init?(stat: String, ticksPerSecond: Double) {
        // The name, in parentheses, may hold blanks and parentheses; the fields behind it do not. The first is the third.
        guard let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
        self.init(user: user / ticksPerSecond, system: system / ticksPerSecond)
    }
}
