import Glibc
import SystemPackage
import Testing

@testable import UringReactor

@Suite(.timeLimit(.minutes(20))) struct FilesTests {
    @Test func aLifeOfAFile() throws {
        let reactor = try Reactor.quiet()
        let file = try TemporaryFile("0123456789")
        var steps: [String] = []
        reactor.open(file.path, .readWrite) { result in
            let descriptor = try result.get()
            #expect(fcntl(descriptor.rawValue, F_GETFD) & FD_CLOEXEC != 0)
            reactor.size(of: descriptor) { result in
                let size = try result.get()
                steps.append("size \(size)")
                reactor.write("ab", to: descriptor, at: 4) { result in
                    let count = try result.get()
                    steps.append("wrote \(count)")
                    reactor.read(from: descriptor, at: 2, upTo: 5) { result in
                        let bytes = try result.get()
                        steps.append("read \(bytes)")
                        reactor.read(from: descriptor, at: 100, upTo: 5) { result in
                            let bytes = try result.get()
                            steps.append("read \(bytes.count) behind the end")
                            reactor.close(descriptor) { try $0.get() }
                        }
                    }
                }
            }
        }
        try reactor.runToIdle()
        #expect(steps == ["size 10", "wrote 2", "read 23ab6", "read 0 behind the end"])
        #expect(reactor.statistics.completedByKind[.close] == 1)
    }

    @Test(arguments: [false, true]) func synchronizing(dataOnly: Bool) throws {
        let reactor = try Reactor.quiet()
        let file = try TemporaryFile()
        let descriptor = try file.open()
        let outcomes = Outcomes<Void>()
        reactor.write("x", to: descriptor) { _ in reactor.fsync(descriptor, dataOnly: dataOnly, outcomes.note) }
        try reactor.runToIdle()
        #expect(outcomes.onlyValue != nil)
        try descriptor.close()
    }

    @Test func withoutAnOffsetThePositionMovesOn() throws {
        let reactor = try Reactor.quiet()
        let file = try TemporaryFile()
        let descriptor = try file.open()
        var read = Bytes()
        reactor.write("one,", to: descriptor) { _ in
            reactor.write("two", to: descriptor) { _ in
                reactor.read(from: descriptor, at: 0, upTo: 100) { read = try $0.get() }
            }
        }
        try reactor.runToIdle()
        #expect(read == "one,two")
        try descriptor.close()
    }

    @Test func openCreatesWithPermissions() throws {
        let reactor = try Reactor.quiet()
        let file = try TemporaryFile()
        _ = unsafe file.path.withPlatformString { unsafe unlink($0) }
        var mode: mode_t = 0
        reactor.open(file.path, .writeOnly, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite]) { result in
            let descriptor = try result.get()
            var status = stat()
            unsafe fstat(descriptor.rawValue, &status)
            mode = status.st_mode & 0o777
            reactor.close(descriptor)
        }
        try reactor.runToIdle()
        #expect(mode == 0o600)
    }

    /// A name is bytes, and these are no UTF-8.
    @Test func aNameThatIsNoText() throws {
        let reactor = try Reactor.quiet()
        let file = try TemporaryFile("x")
        let name: [CInterop.PlatformChar] = Array("\(file.path)-".utf8CString.dropLast()) + [-1, 0]
        let path = FilePath(platformString: name)
        let opened = Outcomes<FileDescriptor>()
        reactor.open(path, .readWrite, options: .create, opened.note)
        try reactor.runToIdle()
        try #require(opened.onlyValue).close()
        #expect(unsafe path.withPlatformString { unsafe unlink($0) } == 0)
    }

    @Test func failures() throws {
        let reactor = try Reactor.quiet()
        let (opened, read, written, synced, sized) =
            (Outcomes<FileDescriptor>(), Outcomes<Bytes>(), Outcomes<Int>(), Outcomes<Void>(), Outcomes<Int>())
        let closed = FileDescriptor(rawValue: 999_999)
        reactor.open("/nonexistent/file", .readOnly, opened.note)
        reactor.read(from: closed, upTo: 1, read.note)
        reactor.write("x", to: closed, written.note)
        reactor.fsync(closed, synced.note)
        reactor.size(of: closed, sized.note)
        try reactor.runToIdle()
        #expect(opened.onlyError?.description
            == "open of /nonexistent/file failed: No such file or directory (ENOENT)")
        let reason = "descriptor 999999 failed: it is not an open descriptor (EBADF)"
        #expect(read.onlyError?.description == "read from \(reason)")
        #expect(written.onlyError?.description == "write to \(reason)")
        #expect(synced.onlyError?.description == "fsync on \(reason)")
        #expect(sized.onlyError?.description == "reading the size of \(reason)")
    }

    /// A pipe takes what fits; the callback hears when all is in.
    @Test func shortWritesAreFinished() throws {
        let reactor = try Reactor.quiet()
        let pipe = try Pipe()
        let size = pipe.shrink()
        let expected = (0..<(10 * size)).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let written = Outcomes<Int>()
        reactor.write(Bytes(expected), to: pipe.writer, written.note)
        var read: [UInt8] = []
        func readOn() {
            reactor.read(from: pipe.reader, upTo: 1000) { result in
                read += try result.get()
                if read.count < expected.count { readOn() }
            }
        }
        readOn()
        try reactor.runToIdle()
        #expect(written.onlyValue == expected.count)
        #expect(read == expected)
        #expect(reactor.statistics.bytesSent == UInt64(expected.count))
    }

    @Test func aWriteAtAnOffsetGoesOnBehindItself() throws {
        let reactor = try Reactor.quiet()
        let file = try TemporaryFile("..........")
        let descriptor = try file.open()
        let outcomes = Outcomes<Int>()
        let token = reactor.write("abcdef", to: descriptor, at: 2, outcomes.note)
        // As if the first write had taken two; the whole of it is done again behind them, by the kernel this time.
        reactor.registry.complete(Completion(userData: token.rawValue, result: 2, flags: 0), token)
        #expect(reactor.registry.slots[token.slot].progress == 2)
        #expect(reactor.statistics.shortSends == 1)
        #expect(outcomes.count == 0)
        try descriptor.close()
    }

    @Test func nothingWritten() throws {
        let reactor = try Reactor.quiet()
        let file = try TemporaryFile()
        let descriptor = try file.open()
        let outcomes = Outcomes<Int>()
        reactor.write("", to: descriptor, outcomes.note)
        try reactor.runToIdle()
        #expect(outcomes.onlyValue == 0)
        try descriptor.close()
    }
}
