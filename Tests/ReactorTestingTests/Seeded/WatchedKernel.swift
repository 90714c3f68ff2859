import ReactorTesting
import SystemPackage
import UringReactor

/// The simulated kernel, but for a limit on enters: a loop that turns without end is a failure, too.
final class WatchedKernel: Kernel {
    private let kernel: SimulatedKernel
    private(set) var enters = 0
    /// The count of enters at which it is enough.
    var limit = 2_000_000
    var onLimit: (() -> Never)?

    init(_ kernel: SimulatedKernel) {
        self.kernel = kernel
    }

    func enter(_ request: EnterRequest) -> Int32 {
        enters += 1
        if enters > limit { onLimit?() }
        return kernel.enter(request)
    }

    var capabilities: Capabilities { kernel.capabilities }
    func open(_ request: RingRequest) throws(RingUnavailable) -> RingMemory { unsafe try kernel.open(request) }
    func enable() throws(Errno) { try kernel.enable() }
    func registerBufferRing(_ ring: BufferRingMemory) throws(Errno) { unsafe try kernel.registerBufferRing(ring) }
    func unregisterBufferRing(group: UInt16) { kernel.unregisterBufferRing(group: group) }
    func close() { kernel.close() }
    func makeWaker() throws(RingUnavailable) -> any Waker { try kernel.makeWaker() }
    func now() -> UInt64 { kernel.now() }
    func socket(_ family: AddressFamily) throws(Errno) -> FileDescriptor { try kernel.socket(family) }
    func bind(_ socket: FileDescriptor, to address: SocketAddress) throws(Errno) { try kernel.bind(socket, to: address) }
    func listen(_ socket: FileDescriptor, backlog: Int) throws(Errno) { try kernel.listen(socket, backlog: backlog) }
    func setOption(_ option: SocketOption, to value: Int, on socket: FileDescriptor) throws(Errno) {
        try kernel.setOption(option, to: value, on: socket)
    }
    func localAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress { try kernel.localAddress(of: socket) }
    func remoteAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress { try kernel.remoteAddress(of: socket) }
    func unacknowledgedBytes(of socket: FileDescriptor) throws(Errno) -> Int {
        try kernel.unacknowledgedBytes(of: socket)
    }
    func resetWhenClosed(_ socket: FileDescriptor) throws(Errno) { try kernel.resetWhenClosed(socket) }
    func shutdown(_ socket: FileDescriptor, _ direction: ShutdownDirection) throws(Errno) {
        try kernel.shutdown(socket, direction)
    }
    func close(_ descriptor: FileDescriptor) { kernel.close(descriptor) }
    func unlink(_ path: String) throws(Errno) { try kernel.unlink(path) }
}
