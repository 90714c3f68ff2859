import Foundation
import Glibc

/// Something to be measured: does it so often, and says when that took more than it should have by trapping.
struct MeasuredTask {
    let name: String
    /// Operations of one run.
    let count: Int
    let run: () throws -> Void
}

/// Tasks that are measured in turn, the first of which the others are compared with.
struct TaskGroup {
    let title: String
    let tasks: [MeasuredTask]

    func filtered(by text: String) -> TaskGroup {
        TaskGroup(title: title, tasks: tasks.filter { $0.name.contains(text) || title.contains(text) })
    }

    func measure(rounds: Int) throws -> GroupResult {
        var times = [[Double]](repeating: [], count: tasks.count)
        // One more at first, for what is only there when it has been used.
        for round in 0...rounds {
            for step in tasks.indices {
                let index = (step + round) % tasks.count
                let before = TaskGroup.processorTime()
                try tasks[index].run()
                let time = Double(TaskGroup.processorTime() - before) / Double(tasks[index].count)
                if round > 0 { times[index].append(time) }
            }
        }
        return GroupResult(
            title: title,
            tasks: zip(tasks, times).map { task, own in
                TaskResult(name: task.name, nanoseconds: own, ratios: zip(own, times[0]).map { $0 / $1 })
            })
    }

    /// Nanoseconds that this thread has had a processor, in the kernel and out of it.
    private static func processorTime() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

struct GroupResult {
    let title: String
    let tasks: [TaskResult]

    var table: String {
        let width = tasks.map(\.name.count).max() ?? 0
        let lines = tasks.map { task in
            let name = task.name.padding(toLength: width, withPad: " ", startingAt: 0)
            let ratio = String(
                format: "%.2f (%.2f–%.2f)", middle(task.ratios), task.ratios.min() ?? 0, task.ratios.max() ?? 0)
            return "  \(name)  " + String(format: "%8.1f ns   × ", middle(task.nanoseconds)) + ratio
        }
        return "\(title)\n" + lines.joined(separator: "\n") + "\n"
    }
}

/// One figure for each round.
struct TaskResult: Codable {
    let name: String
    let nanoseconds: [Double]
    /// To the first task of the group.
    let ratios: [Double]
}

func middle(_ figures: [Double]) -> Double {
    let sorted = figures.sorted()
    guard !sorted.isEmpty else { return .nan }
    return sorted.count % 2 == 1
        ? sorted[sorted.count / 2] : (sorted[sorted.count / 2 - 1] + sorted[sorted.count / 2]) / 2
}

/// Has the optimizer believe that a value is needed.
@inline(never)
func consume<Value>(_ value: Value) { withExtendedLifetime(value) {} }
