import Foundation
import Glibc
import SystemPackage

/// A process pinned to a core, whose output goes into files.
final class Child {
    let pid: pid_t
    let output: URL
    let errors: URL
    private var status: Int32?

    /// - Parameters:
    ///   - environment: What it gets besides this program's.
    ///   - core: Where it runs; nil for anywhere.
    ///   - folder: Where its output goes, and its working directory.
    ///   - name: How the files of its output begin.
    init(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], core: Int?, folder: URL, name: String
    ) throws {
        output = folder.appendingPathComponent("\(name).out")
        errors = folder.appendingPathComponent("\(name).err")
        // What is preloaded is for the program alone, not for those that start it.
        var words = ["setpriv", "--pdeathsig", "KILL"]
        if let core { words += ["taskset", "--cpu-list", "\(core)"] }
        if !environment.isEmpty { words += ["env"] + environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" } }
        words += [Programs.find(program)] + arguments
        pid = try Children.start { [words, output, errors] in
            try Child.spawn(words, output: output.path, errors: errors.path)
        }
    }

    private static func spawn(_ words: [String], output: String, errors: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        var list = words.map { strdup($0) } + [nil]
        defer { for word in list { free(word) } }
        var pid: pid_t = 0
        let problem = posix_spawnp(&pid, words[0], &actions, &attributes, &list, environ)
        guard problem == 0 else { throw Errno(rawValue: problem) }
        return pid
    }

    /// How it has ended, or nil if it runs.
    var end: End? {
        if status == nil {
            var result: Int32 = 0
            guard waitpid(pid, &result, WNOHANG) == pid else { return nil }
            status = result
            // What it has started itself.
            kill(-pid, SIGKILL)
            Children.forget(pid)
        }
        return status.map(End.init)
    }

    /// Waits for its end, at most so long.
    func wait(_ limit: Duration) -> End? {
        let deadline = ContinuousClock.now + limit
        while end == nil, ContinuousClock.now < deadline { usleep(2000) }
        return end
    }

    /// Asks it to end, and kills it if it has not after two seconds.
    @discardableResult
    func terminate() -> End? {
        guard end == nil else { return end }
        kill(pid, SIGTERM)
        if let end = wait(.seconds(2)) { return end }
        kill(-pid, SIGKILL)
        return wait(.seconds(10))
    }

    var outputText: String { Child.text(output) }
    var errorText: String { Child.text(errors) }

    private static func text(_ file: URL) -> String {
        String(decoding: (try? Data(contentsOf: file)) ?? Data(), as: UTF8.self)
    }

    /// How a process has ended.
    enum End: Equatable, CustomStringConvertible {
        case exited(Int32)
        case killed(signal: Int32)

        init(status: Int32) {
            let signal = status & 0x7f
            self = signal == 0 ? .exited((status >> 8) & 0xff) : .killed(signal: signal)
        }

        var description: String {
            switch self {
            case .exited(let status): "exit status \(status)"
            case .killed(let signal): "signal \(signal) (\(String(cString: strsignal(signal))))"
            }
        }
    }
}
