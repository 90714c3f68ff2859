import CLiburing
import Glibc
import SystemPackage
import UringReactor
import ReactorTesting

/// A ring driven by hand over any kernel: entries are written, completions are read, nothing in between.
@safe final class TestRing {
    struct Completion: Equatable, CustomStringConvertible {
        let userData: UInt64
        let result: Int32
        let flags: UInt32

        var hasMore: Bool { flags & 2 != 0 }
        var description: String { "\(userData): \(result)\(hasMore ? " more" : "")" }
    }

    let kernel: any Kernel
    let memory: RingMemory
    private var tail: UInt32
    private var seen: [Completion] = []
    private var allocations: [UnsafeMutableRawBufferPointer] = unsafe []

    init(_ kernel: any Kernel, entries: Int = 64, completions: Int = 128, enabled: Bool = true) throws {
        self.kernel = kernel
        unsafe memory = try kernel.open(RingRequest(submissionEntries: entries, completionEntries: completions))
        tail = unsafe memory.submissionTail.pointee
        if enabled { try kernel.enable() }
    }

    deinit {
        for unsafe allocation in unsafe allocations { unsafe allocation.deallocate() }
    }

    /// Memory that lives as long as the ring.
    func buffer(_ count: Int) -> Buffer {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
        unsafe allocations.append(memory)
        return unsafe Buffer(memory: unsafe memory)
    }

    func buffer(_ text: String) -> Buffer {
        let buffer = buffer(text.utf8.count)
        unsafe buffer.memory.copyBytes(from: text.utf8)
        return buffer
    }

    @safe struct Buffer {
        let memory: UnsafeMutableRawBufferPointer
        var count: Int { unsafe memory.count }
        func text(_ length: Int32) -> String {
            unsafe String(decoding: memory.prefix(max(0, Int(length))), as: UTF8.self)
        }
    }

    // MARK: - Submitting

    func queue(_ userData: UInt64, _ fill: (UnsafeMutablePointer<io_uring_sqe>) -> Void) {
        let entry = unsafe memory.submissions + Int(tail & (memory.submissionEntries - 1))
        unsafe fill(entry)
        unsafe entry.pointee.user_data = userData
        tail &+= 1
        unsafe ring_store_release(memory.submissionTail, tail)
    }

    /// Publishes an entry that nobody has written to.
    func queueUnfilled() {
        tail &+= 1
        unsafe ring_store_release(memory.submissionTail, tail)
    }

    var queued: UInt32 { tail &- (unsafe ring_load_acquire(memory.submissionHead)) }

    @discardableResult
    func enter(wait: UInt32 = 0, reap: Bool = true, timeout: UInt64? = nil) -> Int32 {
        kernel.enter(EnterRequest(submit: queued, waitFor: wait, reap: reap, timeout: timeout))
    }

    var ready: UInt32 {
        unsafe ring_load_acquire(memory.completionTail) &- memory.completionHead.pointee
    }

    var hasOverflow: Bool { unsafe memory.submissionFlags.pointee & 2 != 0 }
    var hasDeferredWork: Bool { unsafe memory.submissionFlags.pointee & 4 != 0 }

    /// What has been posted since the last look.
    func completions() -> [Completion] {
        var found = seen
        seen = []
        while ready > 0 {
            let head = unsafe memory.completionHead.pointee
            let entry = unsafe memory.completions[Int(head & (memory.completionEntries - 1))]
            found.append(Completion(userData: entry.user_data, result: entry.res, flags: entry.flags))
            unsafe ring_store_release(memory.completionHead, head &+ 1)
        }
        return found
    }

    /// Has completions be seen later.
    func keep(_ completions: [Completion]) { seen = completions + seen }

    /// Submits what is queued and waits until `userData` completes, two seconds at most; what else completes is kept for
    /// later.
    @discardableResult
    func wait(for userData: UInt64) -> Completion {
        while true {
            let found = completions()
            if let index = found.firstIndex(where: { $0.userData == userData }) {
                seen = Array(found[..<index] + found[(index + 1)...])
                return found[index]
            }
            let request = EnterRequest(submit: queued, waitFor: queued > 0 ? 0 : 1, reap: true, timeout: 2_000_000_000)
            let status = kernel.enter(request)
            seen = found
            if status == -ETIME { return Completion(userData: userData, result: .min, flags: 0) }
            precondition(status >= 0 || status == -EINTR || status == -EBUSY || status == -EAGAIN, "enter: \(status)")
        }
    }

    /// The result in words: the same on every machine.
    func outcome(_ userData: UInt64) -> String {
        let completion = wait(for: userData)
        if completion.result == .min { return "nothing" }
        let more = completion.hasMore ? " more" : ""
        guard completion.result < 0 else { return "\(completion.result)\(more)" }
        return Self.name(-completion.result) + more
    }

    static func name(_ errno: Int32) -> String {
        String(describing: Errno(rawValue: errno)) + " (\(errno))"
    }

    /// Whether nothing completes now.
    func isQuiet() -> Bool {
        enter()
        let found = completions()
        seen = found
        return found.isEmpty
    }

    func result(_ userData: UInt64) -> Int32 { wait(for: userData).result }

    // MARK: - Operations

    func nop(_ userData: UInt64) {
        unsafe queue(userData) { unsafe io_uring_prep_nop($0) }
    }

    func timeout(_ userData: UInt64, nanoseconds: Int64, count: UInt32 = 0, flags: UInt32 = 0) {
        let span = buffer(16)
        unsafe span.memory.storeBytes(of: nanoseconds / 1_000_000_000, as: Int64.self)
        unsafe span.memory.storeBytes(of: nanoseconds % 1_000_000_000, toByteOffset: 8, as: Int64.self)
        unsafe queue(userData) {
            unsafe io_uring_prep_timeout(
                $0, span.memory.baseAddress!.assumingMemoryBound(to: __kernel_timespec.self), count, flags)
        }
    }

    func removeTimeout(_ userData: UInt64, target: UInt64) {
        unsafe queue(userData) { unsafe io_uring_prep_timeout_remove($0, target, 0) }
    }

    func cancel(_ userData: UInt64, target: UInt64, flags: Int32 = 0) {
        unsafe queue(userData) { unsafe io_uring_prep_cancel64($0, target, flags) }
    }

    func cancel(_ userData: UInt64, descriptor: FileDescriptor, flags: UInt32 = 0) {
        unsafe queue(userData) { unsafe io_uring_prep_cancel_fd($0, descriptor.rawValue, flags) }
    }

    func accept(_ userData: UInt64, _ socket: FileDescriptor, multishot: Bool = false) {
        let flags = Int32(SOCK_CLOEXEC.rawValue)
        unsafe queue(userData) {
            if multishot {
                unsafe io_uring_prep_multishot_accept($0, socket.rawValue, nil, nil, flags)
            } else {
                unsafe io_uring_prep_accept($0, socket.rawValue, nil, nil, flags)
            }
        }
    }

    func connect(_ userData: UInt64, _ socket: FileDescriptor, to address: SocketAddress) {
        let storage = buffer(128)
        let bytes = SockaddrBytes.of(address)
        unsafe storage.memory.copyBytes(from: bytes)
        unsafe queue(userData) {
            unsafe io_uring_prep_connect(
                $0, socket.rawValue, storage.memory.baseAddress!.assumingMemoryBound(to: sockaddr.self), UInt32(bytes.count))
        }
    }

    func receive(_ userData: UInt64, _ socket: FileDescriptor, _ buffer: Buffer, flags: Int32 = 0) {
        unsafe queue(userData) {
            unsafe io_uring_prep_recv($0, socket.rawValue, buffer.memory.baseAddress, buffer.count, flags)
        }
    }

    func send(_ userData: UInt64, _ socket: FileDescriptor, _ buffer: Buffer, flags: Int32 = Int32(MSG_NOSIGNAL)) {
        unsafe queue(userData) {
            unsafe io_uring_prep_send($0, socket.rawValue, buffer.memory.baseAddress, buffer.count, flags)
        }
    }

    func sendmsg(
        _ userData: UInt64, _ socket: FileDescriptor, _ parts: [Buffer], flags: UInt32 = 0, zeroCopy: Bool = false
    ) {
        // Freed after the submission: the kernel has copied the header and the vectors.
        let vectors = buffer(16 * parts.count)
        for (index, part) in parts.enumerated() {
            let vector = unsafe iovec(iov_base: part.memory.baseAddress, iov_len: part.count)
            unsafe vectors.memory.storeBytes(of: vector, toByteOffset: 16 * index, as: iovec.self)
        }
        let header = unsafe buffer(MemoryLayout<msghdr>.size)
        unsafe header.memory.withMemoryRebound(to: msghdr.self) { header in
            unsafe header[0].msg_iov = vectors.memory.baseAddress!.assumingMemoryBound(to: iovec.self)
            unsafe header[0].msg_iovlen = parts.count
        }
        unsafe queue(userData) {
            unsafe io_uring_prep_sendmsg(
                $0, socket.rawValue, header.memory.baseAddress!.assumingMemoryBound(to: msghdr.self), flags)
            // io_uring_prep_sendmsg_zc does nothing else.
            if zeroCopy { unsafe $0.pointee.opcode = UInt8(IORING_OP_SENDMSG_ZC.rawValue) }
        }
        enter(reap: false)
        unsafe vectors.memory.initializeMemory(as: UInt8.self, repeating: 0xff)
        unsafe header.memory.initializeMemory(as: UInt8.self, repeating: 0xff)
    }

    func poll(_ userData: UInt64, _ descriptor: FileDescriptor, _ events: UInt32, multishot: Bool = false) {
        unsafe queue(userData) {
            if multishot {
                unsafe io_uring_prep_poll_multishot($0, descriptor.rawValue, events)
            } else {
                unsafe io_uring_prep_poll_add($0, descriptor.rawValue, events)
            }
        }
    }

    func shutdown(_ userData: UInt64, _ descriptor: FileDescriptor, how: Int) {
        unsafe queue(userData) { unsafe io_uring_prep_shutdown($0, descriptor.rawValue, Int32(how)) }
    }

    func close(_ userData: UInt64, _ descriptor: FileDescriptor) {
        unsafe queue(userData) { unsafe io_uring_prep_close($0, descriptor.rawValue) }
    }
}

enum SockaddrBytes {
    static func of(_ address: SocketAddress) -> [UInt8] {
        switch address.family {
        case .ipv4:
            let port = address.port ?? 0
            let host = (address.host ?? "").split(separator: ".").compactMap { UInt8($0) }
            return [2, 0, UInt8(port >> 8), UInt8(port & 255)] + host + [UInt8](repeating: 0, count: 8)
        case .ipv6:
            let port = address.port ?? 0
            // Only ::1 is needed.
            let head = [10, 0, UInt8(port >> 8), UInt8(port & 255), 0, 0, 0, 0]
            return head + [UInt8](repeating: 0, count: 15) + [1, 0, 0, 0, 0]
        case .unix: return [1, 0] + Array((address.path ?? "").utf8) + [0]
        }
    }
}

// MARK: - Sockets

extension TestRing {
    func listener(
        _ address: SocketAddress = .loopback(), backlog: Int = 16, options: [(SocketOption, Int)] = []
    ) throws -> (FileDescriptor, SocketAddress) {
        let socket = try kernel.socket(address.family)
        for (option, value) in options { try kernel.setOption(option, to: value, on: socket) }
        try kernel.bind(socket, to: address)
        try kernel.listen(socket, backlog: backlog)
        return (socket, try kernel.localAddress(of: socket))
    }

    /// A connection made through the ring, and its listener.
    func connection(
        _ address: SocketAddress = .loopback(), options: [(SocketOption, Int)] = []
    ) throws -> (near: FileDescriptor, far: FileDescriptor, listener: FileDescriptor) {
        let (listener, bound) = try listener(address, options: options)
        let near = try kernel.socket(address.family)
        for (option, value) in options { try kernel.setOption(option, to: value, on: near) }
        accept(901, listener)
        connect(902, near, to: bound)
        precondition(result(902) == 0, "connect failed")
        let far = result(901)
        precondition(far >= 0, "accept failed")
        return (near, FileDescriptor(rawValue: far), listener)
    }
}
