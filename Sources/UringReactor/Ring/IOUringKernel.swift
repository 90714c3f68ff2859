import CLiburing
import CReactorSupport
import Glibc
public import SystemPackage

/// Linux: rings of io_uring(7) through liburing, and ordinary system calls.
///
/// One for each ``Reactor``, which makes its own by default.
@safe public final class IOUringKernel: Kernel {
    public private(set) var capabilities = Capabilities(multishotTimeout: false)

    /// liburing's description of the ring; zeroed until ``open(_:)`` and after ``close()``.
    private let ring: UnsafeMutablePointer<io_uring>
    private var isOpen = false

    /// Makes no system call; ``open(_:)`` does.
    public init() {
        unsafe ring = .allocate(capacity: 1)
        unsafe ring.initialize(to: io_uring())
    }

    deinit {
        close()
        unsafe ring.deallocate()
    }

    // MARK: - The ring

    /// From the ring we want to the one that any Linux since 5.19 can make. A flag is dropped only when refused.
    private static let setupFlags: [UInt32] = {
        let always = UInt32(RING_SETUP_CQSIZE) | UInt32(RING_SETUP_CLAMP) | UInt32(RING_SETUP_R_DISABLED)
        let submitAll = always | UInt32(RING_SETUP_SUBMIT_ALL)
        let cooperative = submitAll | UInt32(RING_SETUP_COOP_TASKRUN) | UInt32(RING_SETUP_TASKRUN_FLAG)
        let singleIssuer = cooperative | UInt32(RING_SETUP_SINGLE_ISSUER)
        let deferred = submitAll | UInt32(RING_SETUP_SINGLE_ISSUER) | UInt32(RING_SETUP_DEFER_TASKRUN)
            | UInt32(RING_SETUP_TASKRUN_FLAG)
        return [deferred, singleIssuer, cooperative, submitAll, always]
    }()

    public func open(_ request: RingRequest) throws(RingUnavailable) -> RingMemory {
        precondition(!isOpen, "open() is called once")
        var status: Int32 = -EINVAL
        for flags in IOUringKernel.setupFlags where status == -EINVAL {
            var parameters = io_uring_params()
            parameters.flags = flags
            parameters.cq_entries = UInt32(clamping: max(request.completionEntries, request.submissionEntries))
            status = unsafe io_uring_queue_init_params(UInt32(clamping: request.submissionEntries), ring, &parameters)
        }
        guard status == 0 else { throw IOUringKernel.unavailable(Errno(rawValue: -status)) }
        isOpen = true
        // A child process must not share the rings: it would consume our completions.
        status = unsafe io_uring_ring_dontfork(ring)
        guard status == 0 else {
            close()
            throw IOUringKernel.unavailable(Errno(rawValue: -status))
        }
        capabilities = IOUringKernel.probed
        return unsafe memory()
    }

    private func memory() -> RingMemory {
        let sq = unsafe ring.pointee.sq
        let cq = unsafe ring.pointee.cq
        // Each place of the index array names itself, for good; liburing's own submit would fill it in every time.
        // There is none where liburing (since 2.6) asks for IORING_SETUP_NO_SQARRAY by itself.
        if let array = unsafe sq.array {
            for place in 0..<(unsafe sq.ring_entries) { unsafe array[Int(place)] = place }
        }
        return unsafe RingMemory(
            submissionHead: sq.khead, submissionTail: sq.ktail, submissionFlags: sq.kflags,
            submissions: sq.sqes, submissionEntries: sq.ring_entries,
            completionHead: cq.khead, completionTail: cq.ktail,
            completions: cq.cqes, completionEntries: cq.ring_entries)
    }

    public func enable() throws(Errno) {
        // Not io_uring_enable_rings, which liburing 2.3 declares and forgot to export.
        let operation = UInt32(IORING_REGISTER_ENABLE_RINGS)
        let status = unsafe io_uring_register(UInt32(bitPattern: ring.pointee.ring_fd), operation, nil, 0)
        guard status == 0 else { throw Errno(rawValue: -status) }
        // Saves looking the descriptor up at each enter. The index it returns is the calling thread's own; where there is
        // no place left for one, the plain descriptor serves.
        _ = unsafe io_uring_register_ring_fd(ring)
    }

    public func enter(_ request: EnterRequest) -> Int32 {
        var flags: UInt32 = 0
        if request.waitFor > 0 || request.reap { flags |= UInt32(IORING_ENTER_GETEVENTS) }
        if unsafe ring.pointee.int_flags & 1 != 0 { flags |= UInt32(IORING_ENTER_REGISTERED_RING) }
        let descriptor = unsafe UInt32(bitPattern: ring.pointee.enter_ring_fd)
        guard let wanted = request.timeout, request.waitFor > 0 else {
            return io_uring_enter(descriptor, request.submit, request.waitFor, flags, nil)
        }
        // The kernel adds its clock to this without looking for an overflow of 63 bits; 146 years are enough.
        let timeout = min(wanted, 1 << 62)
        var span = __kernel_timespec(tv_sec: Int64(timeout / 1_000_000_000), tv_nsec: Int64(timeout % 1_000_000_000))
        return unsafe withUnsafeMutablePointer(to: &span) { span in
            var argument = io_uring_getevents_arg(
                sigmask: 0, sigmask_sz: UInt32(_NSIG / 8), pad: 0, ts: UInt64(UInt(bitPattern: span)))
            return unsafe withUnsafeMutablePointer(to: &argument) { argument in
                unsafe argument.withMemoryRebound(to: sigset_t.self, capacity: 1) { argument in
                    unsafe io_uring_enter2(
                        descriptor, request.submit, request.waitFor, flags | UInt32(IORING_ENTER_EXT_ARG),
                        argument, MemoryLayout<io_uring_getevents_arg>.size)
                }
            }
        }
    }

    public func registerBufferRing(_ ring: BufferRingMemory) throws(Errno) {
        var request = io_uring_buf_reg()
        unsafe request.ring_addr = UInt64(UInt(bitPattern: ring.entries))
        unsafe request.ring_entries = UInt32(ring.count)
        unsafe request.bgid = ring.group
        let status = unsafe io_uring_register_buf_ring(self.ring, &request, 0)
        guard status == 0 else { throw Errno(rawValue: -status) }
    }

    public func unregisterBufferRing(group: UInt16) {
        _ = unsafe io_uring_unregister_buf_ring(ring, Int32(group))
    }

    public func close() {
        guard isOpen else { return }
        isOpen = false
        unsafe io_uring_queue_exit(ring)
        unsafe ring.pointee = io_uring()
    }

    // MARK: - What this kernel can do

    /// Tried once a process, on a small ring of its own: the reactor's is still disabled when it wants to know.
    private static let probed: Capabilities = {
        var scratch = unsafe io_uring()
        guard unsafe io_uring_queue_init(4, &scratch, 0) == 0 else { return Capabilities(multishotTimeout: false) }
        defer { unsafe io_uring_queue_exit(&scratch) }
        return unsafe Capabilities(
            multishotTimeout: hasMultishotTimeout(&scratch), multishotReceive: hasMultishotReceive(&scratch),
            zeroCopySend: hasZeroCopySend(&scratch))
    }()

    /// A timeout of a nanosecond that fires once: refused with EINVAL where the flag is unknown, ETIME where it is known.
    private static func hasMultishotTimeout(_ ring: UnsafeMutablePointer<io_uring>) -> Bool {
        var span = __kernel_timespec(tv_sec: 0, tv_nsec: 1)
        // The kernel reads it at the submit, so it must still be there then.
        return unsafe withUnsafeMutablePointer(to: &span) { span in
            let flags = UInt32(RING_TIMEOUT_MULTISHOT)
            return unsafe result(of: ring) { unsafe io_uring_prep_timeout($0, span, 1, flags) } == -ETIME
        }
    }

    /// A receive from no descriptor: EBADF where the form is known, EINVAL where it is not.
    private static func hasMultishotReceive(_ ring: UnsafeMutablePointer<io_uring>) -> Bool {
        let result = unsafe result(of: ring) { entry in
            unsafe io_uring_prep_recv_multishot(entry, -1, nil, 0, 0)
            unsafe entry.pointee.flags = UInt8(1 << IOSQE_BUFFER_SELECT_BIT)
        }
        return result == -EBADF
    }

    private static func hasZeroCopySend(_ ring: UnsafeMutablePointer<io_uring>) -> Bool {
        let result = unsafe result(of: ring) { unsafe io_uring_prep_send_zc($0, -1, nil, 0, 0, 0) }
        return result == -EBADF
    }

    private static func result(
        of ring: UnsafeMutablePointer<io_uring>, _ prepare: (UnsafeMutablePointer<io_uring_sqe>) -> Void
    ) -> Int32? {
        guard let entry = unsafe io_uring_get_sqe(ring) else { return nil }
        unsafe entry.initialize(to: io_uring_sqe())
        unsafe prepare(entry)
        guard unsafe io_uring_submit_and_wait(ring, 1) == 1 else { return nil }
        var next: UnsafeMutablePointer<io_uring_cqe>?
        let count = unsafe io_uring_peek_batch_cqe(ring, &next, 1)
        guard count == 1, let completion = unsafe next else { return nil }
        let result = unsafe completion.pointee.res
        // A zero-copy send that fails may be notified of as well.
        let more: UInt32 = unsafe completion.pointee.flags & UInt32(IORING_CQE_F_MORE) != 0 ? 1 : 0
        unsafe io_uring_cq_advance(ring, 1)
        if more > 0, unsafe io_uring_wait_cqe(ring, &next) == 0 { unsafe io_uring_cq_advance(ring, 1) }
        return result
    }

    private static func unavailable(_ errno: Errno) -> RingUnavailable {
        let limit = creactor_locked_memory_limit()
        var name = utsname()
        unsafe uname(&name)
        let version = unsafe withUnsafeBytes(of: name.release) { release in
            unsafe String(decoding: release.prefix { $0 != 0 }, as: UTF8.self)
        }
        return RingUnavailable(
            errno: errno, disabledSetting: disabledSetting(), lockedMemoryLimit: limit == .max ? nil : limit,
            kernelVersion: version)
    }

    private static func disabledSetting() -> Int? {
        guard let file = unsafe try? FileDescriptor.open("/proc/sys/kernel/io_uring_disabled", .readOnly) else { return nil }
        defer { try? file.close() }
        return unsafe withUnsafeTemporaryAllocation(byteCount: 16, alignment: 1) { text in
            guard let count = unsafe try? file.read(into: text) else { return nil }
            return unsafe Int(String(decoding: text.prefix(count).prefix { $0 >= 0x30 }, as: UTF8.self))
        }
    }

    // MARK: - Beside the ring

    public func makeWaker() throws(RingUnavailable) -> any Waker {
        let descriptor = creactor_eventfd()
        guard descriptor >= 0 else { throw IOUringKernel.unavailable(Errno(rawValue: errno)) }
        return EventDescriptorWaker(descriptor: FileDescriptor(rawValue: descriptor))
    }

    public func now() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    public func socket(_ family: AddressFamily) throws(Errno) -> FileDescriptor {
        let descriptor = Glibc.socket(family.number, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        return FileDescriptor(rawValue: descriptor)
    }

    public func bind(_ socket: FileDescriptor, to address: SocketAddress) throws(Errno) {
        try IOUringKernel.check(unsafe address.withSockaddr { unsafe Glibc.bind(socket.rawValue, $0, $1) })
    }

    public func listen(_ socket: FileDescriptor, backlog: Int) throws(Errno) {
        try IOUringKernel.check(Glibc.listen(socket.rawValue, Int32(clamping: backlog)))
    }

    public func setOption(_ option: SocketOption, to value: Int, on socket: FileDescriptor) throws(Errno) {
        var value = Int32(clamping: value)
        let size = socklen_t(MemoryLayout<Int32>.size)
        try IOUringKernel.check(unsafe setsockopt(socket.rawValue, option.level, option.name, &value, size))
    }

    public func localAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress {
        try unsafe IOUringKernel.address { unsafe getsockname(socket.rawValue, $0, $1) }
    }

    public func remoteAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress {
        try unsafe IOUringKernel.address { unsafe getpeername(socket.rawValue, $0, $1) }
    }

    public func unacknowledgedBytes(of socket: FileDescriptor) throws(Errno) -> Int {
        let bytes = creactor_unacknowledged_bytes(socket.rawValue)
        try IOUringKernel.check(bytes)
        return Int(bytes)
    }

    public func resetWhenClosed(_ socket: FileDescriptor) throws(Errno) {
        var noTime = linger(l_onoff: 1, l_linger: 0)
        let size = socklen_t(MemoryLayout<linger>.size)
        try IOUringKernel.check(unsafe setsockopt(socket.rawValue, SOL_SOCKET, SO_LINGER, &noTime, size))
    }

    public func shutdown(_ socket: FileDescriptor, _ direction: ShutdownDirection) throws(Errno) {
        try IOUringKernel.check(Glibc.shutdown(socket.rawValue, direction.number))
    }

    public func close(_ descriptor: FileDescriptor) {
        // EINTR included, Linux has let go of the descriptor when close(2) returns.
        _ = Glibc.close(descriptor.rawValue)
    }

    public func unlink(_ path: String) throws(Errno) {
        do {
            try IOUringKernel.check(unsafe Glibc.unlink(path))
        } catch Errno.noSuchFileOrDirectory {}
    }

    private static func check(_ status: Int32) throws(Errno) {
        guard status >= 0 else { throw Errno(rawValue: errno) }
    }

    private static func address(
        _ call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) throws(Errno) -> SocketAddress {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let (status, address) = unsafe withUnsafeMutablePointer(to: &storage) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                let status = unsafe call(pointer, &length)
                return (status, unsafe SocketAddress(pointer, length: Int(length)))
            }
        }
        try check(status)
        guard let address else { throw .addressFamilyNotSupported }
        return address
    }
}

/// An eventfd(2). Never read: an edge-triggered poll fires at each write, and 2⁶⁴ − 2 of them fit.
private struct EventDescriptorWaker: Waker {
    let descriptor: FileDescriptor

    func wake() {
        var one: UInt64 = 1
        _ = unsafe write(descriptor.rawValue, &one, 8)
    }

    func close() {
        _ = Glibc.close(descriptor.rawValue)
    }
}
