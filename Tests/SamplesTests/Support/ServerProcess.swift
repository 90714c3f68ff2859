import CTestSupport
import Glibc
import SystemPackage
import UringReactor

/// A server of the samples in a process of its own, so that its memory and its descriptors can be looked at. It is killed
/// when this goes.
final class ServerProcess {
    /// Where it listens; nil for a Unix socket.
    private(set) var port: UInt16 = 0
    let pid: pid_t
    /// Its standard output and its standard error.
    private let output: FileDescriptor
    private var unread: [UInt8] = []
    private var hasEnded = false

    struct Failure: Error {
        let what: String
    }

    /// Starts it, and waits until it listens.
    ///
    /// - Parameters:
    ///   - arguments: of `samples`.
    ///   - descriptors: its limit of descriptors; nil for as many as may be.
    convenience init(_ arguments: [String], descriptors: Int? = nil) throws {
        try self.init(launching: arguments, descriptors: descriptors)
        let line = try nextLine { $0.hasPrefix("listening on ") }
        if let colon = line.lastIndex(of: ":") { port = UInt16(line[line.index(after: colon)...]) ?? 0 }
    }

    /// Starts `samples` to do something that ends by itself; see ``end()``.
    static func start(_ arguments: [String]) throws -> ServerProcess {
        try ServerProcess(launching: arguments, descriptors: nil)
    }

    /// What `samples` prints when it ends by itself.
    static func output(of arguments: [String]) throws -> String {
        try ServerProcess(launching: arguments, descriptors: nil).end()
    }

    private init(launching arguments: [String], descriptors: Int?) throws {
        var words = [ServerProcess.path] + arguments
        if let descriptors { words = ["/bin/sh", "-c", "ulimit -n \(descriptors); exec \"$0\" \"$@\""] + words }
        let pipe = try FileDescriptor.pipe()
        output = pipe.readEnd
        var arguments: [UnsafePointer<CChar>?] = unsafe words.map { unsafe UnsafePointer(strdup($0)) } + [nil]
        defer { for unsafe word in unsafe arguments { unsafe free(UnsafeMutablePointer(mutating: word)) } }
        pid = unsafe start_process(&arguments, pipe.writeEnd.rawValue)
        guard pid > 0 else {
            hasEnded = true
            throw Failure(what: "\(words[0]): errno \(errno)")
        }
        try pipe.writeEnd.close()
    }

    deinit {
        if !hasEnded {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        try? output.close()
    }

    var address: SocketAddress { .loopback(port: port) }

    /// The next line for which `isIt` holds; those before are dropped. Blocks.
    func nextLine(where isIt: (String) -> Bool) throws -> String {
        while true {
            if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: unread[..<end], as: UTF8.self)
                unread.removeSubrange(...end)
                if isIt(line) { return line }
            } else if try !readMore() {
                throw Failure(what: "it has ended: \(String(decoding: unread, as: UTF8.self))")
            }
        }
    }

    /// Calls back with what it prints, as it comes. Until the reactor stops.
    func follow(on reactor: Reactor, _ body: @escaping (String) -> Void) {
        reactor.read(from: output, upTo: 4096) { [self] result in
            guard case .success(let bytes) = result, !bytes.isEmpty else { return }
            body(String(bytes))
            follow(on: reactor, body)
        }
    }

    /// Ends it in its orderly way, and returns what it has printed since it was last listened to.
    func stop() throws -> String {
        kill(pid, SIGTERM)
        return try end()
    }

    /// Waits for its end, and returns what it has printed since it was last listened to.
    ///
    /// - Throws: ``Failure`` with the same unless its exit status is 0.
    func end() throws -> String {
        while try readMore() {}
        var status: Int32 = 0
        unsafe waitpid(pid, &status, 0)
        hasEnded = true
        let text = String(decoding: unread, as: UTF8.self)
        guard status == 0 else { throw Failure(what: "status \(status): \(text)") }
        return text
    }

    private func readMore() throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe try buffer.withUnsafeMutableBytes { unsafe try output.read(into: $0) }
        unread += buffer[..<count]
        return count > 0
    }

    /// What the kernel says of its memory, in bytes: proc_pid_status(5).
    struct Memory {
        /// Its own, resident now.
        var anonymous = 0
        /// All that is resident now, and the most there ever was.
        var resident = 0
        var peak = 0
    }

    func memory() throws -> Memory {
        let status = try Bytes(contentsOf: FilePath("/proc/\(pid)/status"), limit: 1 << 16)
        func value(_ name: String) throws -> Int {
            guard let line = String(status).split(separator: "\n").first(where: { $0.hasPrefix(name + ":") }),
                let number = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap({ Int($0) })
            else { throw Failure(what: "no \(name) in \(status)") }
            return number * 1024
        }
        return Memory(anonymous: try value("RssAnon"), resident: try value("VmRSS"), peak: try value("VmHWM"))
    }

    /// The program, which lies beside the tests.
    private static let path: String = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let tests = String(decoding: buffer[..<max(count, 0)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return tests.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/samples"
    }()
}
