import Dispatch
import SystemPackage
import Synchronization
import Testing
import UringReactor

/// What the examples of the README would have printed.
enum Printed {
    private static let lines = Mutex<[String]>([])

    static func add(_ words: [Any]) {
        let line = words.map { "\($0)" }.joined(separator: " ")
        lines.withLock { $0.append(line) }
    }

    static func take() -> [String] {
        lines.withLock { lines in
            defer { lines = [] }
            return lines
        }
    }
}

@Suite(.serialized) struct ReadmeTests {
    /// Runs a client against a server on a thread of its own, and returns what the client printed.
    private func lines(
        of client: (SocketAddress) throws -> Void, against makeServer: @escaping @Sendable () throws -> Server
    ) throws -> [String] {
        _ = Printed.take()
        let (isListening, hasEnded) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let listening = Mutex<(SocketAddress, ServerHandle)?>(nil)
        DispatchQueue.global().async {
            defer { hasEnded.signal() }
            let server = try? makeServer()
            let found = server.map { ($0.address, $0.handle) }
            listening.withLock { $0 = found }
            isListening.signal()
            try? server?.run()
        }
        isListening.wait()
        let (address, handle) = try #require(listening.withLock { $0 })
        defer {
            handle.stop()
            hasEnded.wait()
        }
        try client(address)
        return Printed.take()
    }

    @Test func stateMachineExampleRuns() throws {
        let lines = try lines(of: StateMachineExample.runClient) {
            try Server(on: .loopback()) { _ in StateMachineExample.Echo() }
        }
        #expect(lines == ["received hello\n", "closed: both sides had ended"])
    }

    @Test func callbackExampleRuns() throws {
        let lines = try lines(of: CallbackExample.runClient) {
            try Server(on: .loopback(), onConnection: CallbackExample.echo)
        }
        #expect(lines == ["received hello", "closed: closed by this side"])
    }

    /// The README shows what was compiled here, so that it cannot fall behind.
    @Test func readmeHasTheseLines() throws {
        let folder = FilePath(#filePath).removingLastComponent()
        let readme = try text(of: folder.appending("../../../README.md"))
        let snippets = snippets(in: try text(of: folder.appending("ReadmeExamples.swift")))
        #expect(snippets.count == 8)
        for snippet in snippets {
            #expect(readme.contains(snippet), "the README lacks, or has otherwise:\n\(snippet)")
        }
    }

    private func snippets(in source: String) -> [String] {
        var snippets: [[Substring]] = []
        var isInside = false
        for line in source.split(separator: "\n", omittingEmptySubsequences: false) {
            let text = line.drop { $0 == " " }
            if text.hasPrefix("// README: ") {
                snippets.append([])
                isInside = true
            } else if text == "// README end" {
                isInside = false
            } else if isInside {
                snippets[snippets.count - 1].append(line)
            }
        }
        return snippets.map { lines in
            let indentation = lines.lazy.filter { !$0.isEmpty }.map { $0.prefix { $0 == " " }.count }.min() ?? 0
            // What is a member here is a function there.
            return lines.map { $0.dropFirst(indentation) }.joined(separator: "\n")
                .replacing("static func", with: "func")
        }
    }

    private func text(of path: FilePath) throws -> String {
        let file = try FileDescriptor.open(path, .readOnly)
        defer { try? file.close() }
        let size = Int(try file.seek(offset: 0, from: .end))
        return try unsafe String(unsafeUninitializedCapacity: size) { buffer in
            unsafe try file.read(fromAbsoluteOffset: 0, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }
}
