import CLiburing
import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

@Suite struct FileTests {
    private func open(_ ring: TestRing, _ path: String, _ flags: Int32) -> Int32 {
        let name = ring.buffer(path + "\0")
        unsafe ring.queue(90) {
            unsafe io_uring_prep_openat(
                $0, AT_FDCWD, name.memory.baseAddress!.assumingMemoryBound(to: CChar.self), flags, 0o644)
        }
        return ring.result(90)
    }

    @Test func filesAreReadAndWritten() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        #expect(open(ring, "/etc/motd", O_RDONLY) == -ENOENT)
        kernel.writeFile("hello, world", at: "/etc/motd")
        let file = open(ring, "/etc/motd", O_RDWR)
        #expect(file > 0)
        #expect(open(ring, "/etc/motd", O_RDWR | O_CREAT | O_EXCL) == -EEXIST)
        let buffer = ring.buffer(5)
        unsafe ring.queue(1) { unsafe io_uring_prep_read($0, file, buffer.memory.baseAddress, 5, 7) }
        #expect(buffer.text(ring.result(1)) == "world")
        unsafe ring.queue(2) { unsafe io_uring_prep_read($0, file, buffer.memory.baseAddress, 5, 12) }
        #expect(ring.result(2) == 0)
        let text = ring.buffer("there!!")
        unsafe ring.queue(3) { unsafe io_uring_prep_write($0, file, text.memory.baseAddress, 7, 7) }
        #expect(ring.result(3) == 7)
        unsafe ring.queue(4) { unsafe io_uring_prep_fsync($0, file, 0) }
        #expect(ring.result(4) == 0)
        #expect(kernel.contents(of: "/etc/motd") == "hello, there!!")
        let status = ring.buffer(256)
        let path = ring.buffer("/etc/motd\0")
        unsafe ring.queue(5) {
            unsafe io_uring_prep_rw(Int32(21), $0, AT_FDCWD, path.memory.baseAddress, 0x7ff, 0)
            unsafe $0.pointee.off = UInt64(UInt(bitPattern: status.memory.baseAddress))
        }
        #expect(ring.result(5) == 0)
        unsafe #expect(status.memory.load(fromByteOffset: 40, as: UInt64.self) == 14)
        unsafe #expect(status.memory.load(fromByteOffset: 28, as: UInt16.self) == 0o100_644)
        ring.close(6, FileDescriptor(rawValue: file))
        #expect(ring.result(6) == 0)
        #expect(kernel.openDescriptors == 0)
    }

    @Test func aPositionMovesAndAppendsGoToTheEnd() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let file = open(ring, "log", O_WRONLY | O_CREAT | O_APPEND)
        for (number, word) in ["one ", "two"].enumerated() {
            let text = ring.buffer(word)
            unsafe ring.queue(UInt64(number + 1)) {
                unsafe io_uring_prep_write($0, file, text.memory.baseAddress, UInt32(text.count), .max)
            }
            #expect(ring.result(UInt64(number + 1)) == Int32(word.utf8.count))
        }
        #expect(kernel.contents(of: "log") == "one two")
        let buffer = ring.buffer(4)
        unsafe ring.queue(3) { unsafe io_uring_prep_read($0, file, buffer.memory.baseAddress, 4, .max) }
        #expect(ring.result(3) == -EBADF)
        let reader = open(ring, "log", O_RDONLY)
        for expected in ["one ", "two", ""] {
            unsafe ring.queue(4) { unsafe io_uring_prep_read($0, reader, buffer.memory.baseAddress, 4, .max) }
            #expect(buffer.text(ring.result(4)) == expected)
        }
    }
}
