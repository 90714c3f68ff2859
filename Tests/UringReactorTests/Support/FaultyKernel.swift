import CLiburing
import Glibc
import SystemPackage

@testable import UringReactor

/// Linux, with faults by script: what the real kernel does once in a blue moon, on demand.
@safe final class FaultyKernel: Kernel {
    let real = IOUringKernel()
    /// What the next enters return, without reaching the kernel: negative errnos, first to last.
    var failures: [Int32] = []
    /// The most entries that one enter takes.
    var mostPerEnter = UInt32.max
    /// In place of the real kernel's.
    var overridden: Capabilities?
    /// Added to the real clock; `clockStep` is added at each reading.
    var clockOffset: UInt64 = 0
    var clockStep: UInt64 = 0
    /// If not nil, what the clock says.
    var frozenClock: UInt64?
    /// All enters, as they were asked for.
    private(set) var requests: [EnterRequest] = []
    /// Whether to keep `requests`.
    var records = false
    /// How many of the next cancels find nothing, as if the kernel had what they look for between two of its lists.
    var lostCancels = 0
    private var memory: RingMemory?
    /// Called before each enter that reaches the kernel.
    var beforeEnter: (EnterRequest) -> Void = { _ in }
    /// In place of the real kernel's answer, and how often it was asked.
    var unacknowledged: Int?
    private(set) var questions = 0
    /// How many rings of buffers it takes before it refuses.
    var bufferRingsTaken = Int.max
    /// Fails `makeWaker` with this.
    var wakerFailure: Errno?

    init() {}

    var capabilities: Capabilities { overridden ?? real.capabilities }

    func open(_ request: RingRequest) throws(RingUnavailable) -> RingMemory {
        let memory = unsafe try real.open(request)
        unsafe self.memory = unsafe memory
        return unsafe memory
    }

    private func loseCancels(_ count: UInt32) {
        guard lostCancels > 0, let memory = unsafe memory else { return }
        let head = unsafe ring_load_acquire(memory.submissionHead)
        for place in 0..<count {
            let entry = unsafe memory.submissions + Int((head &+ place) & (memory.submissionEntries - 1))
            guard lostCancels > 0, unsafe entry.pointee.opcode == UInt8(IORING_OP_ASYNC_CANCEL.rawValue) else { continue }
            unsafe entry.pointee.cancel_flags = 0
            unsafe entry.pointee.addr = 1
            lostCancels -= 1
        }
    }

    func enable() throws(Errno) { try real.enable() }

    func enter(_ request: EnterRequest) -> Int32 {
        if records { requests.append(request) }
        if !failures.isEmpty { return failures.removeFirst() }
        beforeEnter(request)
        var request = request
        if request.submit > mostPerEnter {
            // As Linux: who did not get all in does not wait.
            request.submit = mostPerEnter
            request.waitFor = 0
        }
        loseCancels(request.submit)
        return real.enter(request)
    }

    func now() -> UInt64 {
        if let frozenClock { return frozenClock }
        clockOffset += clockStep
        return real.now() + clockOffset
    }

    func makeWaker() throws(RingUnavailable) -> any Waker {
        if let wakerFailure {
            throw RingUnavailable(
                errno: wakerFailure, disabledSetting: nil, lockedMemoryLimit: nil, kernelVersion: "faulty")
        }
        return try real.makeWaker()
    }

    func registerBufferRing(_ ring: BufferRingMemory) throws(Errno) {
        guard bufferRingsTaken > 0 else { throw .noMemory }
        bufferRingsTaken -= 1
        unsafe try real.registerBufferRing(ring)
    }
    func unregisterBufferRing(group: UInt16) { real.unregisterBufferRing(group: group) }
    func close() { real.close() }
    func socket(_ family: AddressFamily) throws(Errno) -> FileDescriptor { try real.socket(family) }
    func bind(_ socket: FileDescriptor, to address: SocketAddress) throws(Errno) { try real.bind(socket, to: address) }
    func listen(_ socket: FileDescriptor, backlog: Int) throws(Errno) { try real.listen(socket, backlog: backlog) }
    func setOption(_ option: SocketOption, to value: Int, on socket: FileDescriptor) throws(Errno) {
        try real.setOption(option, to: value, on: socket)
    }
    func localAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress { try real.localAddress(of: socket) }
    func remoteAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress { try real.remoteAddress(of: socket) }
    func unacknowledgedBytes(of socket: FileDescriptor) throws(Errno) -> Int {
        questions += 1
        return if let unacknowledged { unacknowledged } else { try real.unacknowledgedBytes(of: socket) }
    }
    func resetWhenClosed(_ socket: FileDescriptor) throws(Errno) { try real.resetWhenClosed(socket) }
    func shutdown(_ socket: FileDescriptor, _ direction: ShutdownDirection) throws(Errno) {
        try real.shutdown(socket, direction)
    }
    func close(_ descriptor: FileDescriptor) { real.close(descriptor) }
    func unlink(_ path: String) throws(Errno) { try real.unlink(path) }
}
