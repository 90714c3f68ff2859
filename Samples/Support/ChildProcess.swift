import Glibc
import SystemPackage

/// A process that runs this same program with other arguments. Killed when this goes.
final class ChildProcess {
    /// What it writes, to standard output and standard error alike.
    let output: FileDescriptor
    let pid: pid_t
    private var status: Int32?
    private var unread: [UInt8] = []

    /// How it ended.
    enum End: Equatable, CustomStringConvertible {
        case exited(Int32)
        case killed(signal: Int32)

        var description: String {
            switch self {
            case .exited(let status): "exit status \(status)"
            case .killed(let signal): unsafe "signal \(signal) (\(String(cString: strsignal(signal))))"
            }
        }
    }

    /// - Parameters:
    ///   - arguments: Without the program's name.
    ///   - inOwnGroup: Whether Ctrl-C is for this process alone, and not for the child too.
    init(_ arguments: [String], inOwnGroup: Bool = false) throws {
        let pipe = try ChildProcess.makePipe()
        output = pipe.readEnd
        defer { try? pipe.writeEnd.close() }
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, pipe.writeEnd.rawValue, STDOUT_FILENO)
        unsafe posix_spawn_file_actions_adddup2(&actions, pipe.writeEnd.rawValue, STDERR_FILENO)
        // Whoever else holds an end of the pipe would keep its end from being seen.
        for descriptor in [pipe.readEnd, pipe.writeEnd] {
            unsafe posix_spawn_file_actions_addclose(&actions, descriptor.rawValue)
        }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        if inOwnGroup { unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP)) }
        let words = ["samples"] + arguments
        var list: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
        defer { for unsafe word in unsafe list { unsafe free(word) } }
        var pid: pid_t = 0
        let errno = unsafe posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, &list, environ)
        self.pid = pid
        guard errno == 0 else {
            status = -1
            throw Errno(rawValue: errno)
        }
        _ = fcntl(output.rawValue, F_SETFD, FD_CLOEXEC)
    }

    deinit {
        if status == nil {
            kill()
            _ = wait()
        }
        try? output.close()
    }

    /// A pipe beside the standard streams, even where those are closed: as one of them it would be closed in the child.
    private static func makePipe() throws -> (readEnd: FileDescriptor, writeEnd: FileDescriptor) {
        var low: [FileDescriptor] = []
        defer { for descriptor in low { try? descriptor.close() } }
        while true {
            let pipe = try FileDescriptor.pipe()
            if min(pipe.readEnd.rawValue, pipe.writeEnd.rawValue) > STDERR_FILENO { return pipe }
            low += [pipe.readEnd, pipe.writeEnd]
        }
    }

    /// Whether something can be read, or the end, before so much time has passed.
    func hasOutput(within limit: Duration) -> Bool {
        var polled = pollfd(fd: output.rawValue, events: Int16(POLLIN), revents: 0)
        let milliseconds = Int32(clamping: Int64(limit / .milliseconds(1)))
        return unsafe poll(&polled, 1, milliseconds) > 0
    }

    func kill() { _ = Glibc.kill(pid, SIGKILL) }

    /// Asks it to end.
    func terminate() { _ = Glibc.kill(pid, SIGTERM) }

    /// Waits for its end.
    func wait() -> End {
        var result = status ?? 0
        while status == nil {
            guard unsafe waitpid(pid, &result, 0) == pid || errno != EINTR else { continue }
            status = result
        }
        let signal = result & 0x7f
        return signal == 0 ? .exited((result >> 8) & 0xff) : .killed(signal: signal)
    }

    /// Waits for what it writes next, and returns the lines that are whole; nil at the end, where a last line without an
    /// ending counts.
    func readLines() throws -> [String]? {
        let bytes = unsafe try [UInt8](unsafeUninitializedCapacity: 1 << 16) { memory, count in
            count = unsafe try output.read(into: UnsafeMutableRawBufferPointer(memory))
        }
        guard !bytes.isEmpty else {
            defer { unread = [] }
            return unread.isEmpty ? nil : [String(decoding: unread, as: UTF8.self)]
        }
        unread += bytes
        guard let last = unread.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        let text = String(decoding: unread[..<last], as: UTF8.self)
        unread.removeSubrange(...last)
        return text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
}
