import Glibc
import Synchronization

/// The processes that this program has started and not yet waited for.
///
/// Each leads a group of its own and dies with the thread that started it, so nothing stays behind, however this ends.
enum Children {
    private static let groups = Mutex<Set<pid_t>>([])

    /// Starts a process while nobody ends all of them.
    static func start(_ spawn: () throws -> pid_t) rethrows -> pid_t {
        try groups.withLock { groups in
            let pid = try spawn()
            groups.insert(pid)
            return pid
        }
    }

    static func forget(_ pid: pid_t) {
        groups.withLock { groups in _ = groups.remove(pid) }
    }

    /// Kills all, and lets none be started any more: what follows is the end of this program.
    static func killAll(then end: () -> Never) -> Never {
        groups.withLock { groups -> Never in
            for group in groups { kill(-group, SIGKILL) }
            for group in groups { waitpid(group, nil, 0) }
            end()
        }
    }
}
