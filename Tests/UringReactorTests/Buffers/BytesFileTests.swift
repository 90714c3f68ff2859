import CTestSupport
import SystemPackage
import Testing

@testable import UringReactor

@Suite struct BytesFileTests {
    private func error(_ path: FilePath, limit: Int = .max) -> IOError? {
        do {
            _ = try Bytes(contentsOf: path, limit: limit)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [0, 1, 4095, 4096, 4097, 100_000]) func allOfARegularFile(size: Int) throws {
        let text = String(repeating: "x", count: size)
        let file = try TemporaryFile(text)
        #expect(try Bytes(contentsOf: file.path) == Bytes(text))
        #expect(try Bytes(contentsOf: file.path, limit: size) == Bytes(text))
        if size > 0 { #expect(error(file.path, limit: size - 1)?.errno == .fileTooLarge) }
    }

    /// A file of /proc says that its size is 0, and this one is longer than a page.
    @Test func allOfAFileOfProc() throws {
        let maps = try Bytes(contentsOf: "/proc/self/maps")
        #expect(maps.count > 4096)
        #expect(maps.lastIndex(of: UInt8(ascii: "\n")) == maps.count - 1)
        #expect(try Bytes(contentsOf: "/proc/self/comm").count > 1)
        #expect(error("/proc/self/maps", limit: 100)?.errno == .fileTooLarge)
    }

    @Test func whatCannotBeRead() {
        let missing = error("/nowhere/at all")
        #expect(missing?.errno == .noSuchFileOrDirectory)
        #expect(missing?.target == "/nowhere/at all")
        #expect(error("/tmp")?.errno == .isDirectory)
        #expect(error("/proc")?.errno == .isDirectory)
    }

    // One allocation as large as the file, not a second one to find its end.
    @Test(.enabled(if: allocation_counter_works())) func aRegularFileIsReadInOneAllocation() throws {
        let file = try TemporaryFile(String(repeating: "x", count: 100_000))
        func allocations(_ body: () throws -> Void) rethrows -> UInt64 {
            let before = allocation_count()
            try body()
            return allocation_count() - before
        }
        _ = try Bytes(contentsOf: file.path)
        let empty = try TemporaryFile("")
        let few = try allocations { _ = try Bytes(contentsOf: empty.path) }
        #expect(try allocations { _ = try Bytes(contentsOf: file.path) } <= few)
    }
}
