import CLiburing
import Glibc
import UringReactor
import ReactorTesting
import SystemPackage

/// A ring of provided buffers by hand, and what is received into it.
@safe final class TestBuffers {
    let memory: BufferRingMemory
    private let kernel: any Kernel
    private let bytes: TestRing.Buffer
    let size: Int

    /// Not registered yet, and empty. `offset` moves it away from the beginning of a page.
    init(_ ring: TestRing, count: UInt16, size: Int, group: UInt16 = 0, offset: Int = 0) {
        kernel = ring.kernel
        self.size = size
        bytes = ring.buffer(Int(count) * size)
        // At the beginning of a page, and the ring's to free: the kernel reads it for as long as the ring is open.
        let entries = unsafe ring.buffer(16 * Int(count) + 4_096 + offset).memory.baseAddress!.alignedUp(toMultipleOf: 4_096)
        unsafe memory = BufferRingMemory(
            entries: (entries + offset).assumingMemoryBound(to: io_uring_buf.self), count: count, group: group)
    }

    func register() throws {
        unsafe try kernel.registerBufferRing(memory)
    }

    /// Adds a buffer: number `number`, or at the address of `place` with that number, or of another length.
    func provide(_ number: UInt16, place: Int? = nil, length: Int? = nil) {
        let tail = unsafe memory.tail.pointee
        let entry = unsafe memory.entries + Int(tail & (memory.count - 1))
        let start = unsafe bytes.memory.baseAddress! + (place ?? Int(number) * size)
        unsafe entry.pointee.addr = UInt64(UInt(bitPattern: start))
        unsafe entry.pointee.len = UInt32(length ?? size)
        unsafe entry.pointee.bid = number
        unsafe ring_store_release_16(memory.tail, tail &+ 1)
    }

    func start(of number: UInt16) -> UnsafeMutableRawPointer {
        unsafe bytes.memory.baseAddress! + Int(number) * size
    }

    /// Adds an entry that nobody has written to.
    func provideUnfilled() {
        unsafe ring_store_release_16(memory.tail, memory.tail.pointee &+ 1)
    }

    func provide(_ numbers: Range<UInt16>) {
        for number in numbers { provide(number) }
    }

    func text(_ completion: TestRing.Completion) -> String {
        guard let number = completion.buffer, completion.result > 0 else { return "" }
        let start = Int(number) * size
        return unsafe String(decoding: bytes.memory[start..<start + Int(completion.result)], as: UTF8.self)
    }

    /// Result, bytes, and flags in words: the same on every machine, but for which buffer it was.
    func describe(_ completion: TestRing.Completion) -> String {
        if completion.result == .min { return "nothing" }
        let result = completion.result < 0 ? TestRing.name(-completion.result) : "\(completion.result)"
        let buffer = completion.buffer.map { " in \($0)" } ?? ""
        return "\(result) '\(text(completion))'\(buffer)\(completion.hasMore ? " more" : "")"
    }
}

extension TestRing.Completion {
    /// The number of the buffer it brings.
    var buffer: UInt16? { flags & 1 != 0 ? UInt16(flags >> 16) : nil }
    var isNotification: Bool { flags & 8 != 0 }
}

extension TestRing {
    /// A ring of so many buffers, registered and filled.
    func buffers(count: UInt16 = 4, size: Int = 8, group: UInt16 = 0) throws -> TestBuffers {
        let buffers = TestBuffers(self, count: count, size: size, group: group)
        try buffers.register()
        buffers.provide(0..<count)
        return buffers
    }

    /// A receive into a provided buffer.
    func receive(
        _ userData: UInt64, _ socket: FileDescriptor, group: UInt16 = 0, length: Int = 0, multishot: Bool = true,
        flags: Int32 = 0, selects: Bool = true
    ) {
        unsafe queue(userData) {
            if multishot {
                unsafe io_uring_prep_recv_multishot($0, socket.rawValue, nil, length, flags)
            } else {
                unsafe io_uring_prep_recv($0, socket.rawValue, nil, length, flags)
            }
            if selects { unsafe $0.pointee.flags = 1 << 5 }
            unsafe $0.pointee.buf_group = group
        }
    }

    func sendZeroCopy(
        _ userData: UInt64, _ socket: FileDescriptor, _ buffer: Buffer, flags: Int32 = 0, usage: Bool = false
    ) {
        unsafe queue(userData) {
            unsafe io_uring_prep_send_zc(
                $0, socket.rawValue, buffer.memory.baseAddress, buffer.count, flags, usage ? 1 << 3 : 0)
        }
    }

    /// The completion with the result, and the notification if there is one.
    func zeroCopyOutcome(_ userData: UInt64) -> String {
        let first = wait(for: userData)
        let result = first.result < 0 ? Self.name(-first.result) : "\(first.result)"
        guard first.hasMore else { return "\(result) alone" }
        let second = wait(for: userData)
        guard second.isNotification else { return "\(result), then \(second)" }
        return "\(result), notified \(second.result == 0 ? "" : second.result == .min ? "copied" : "\(second.result)")"
    }
}
