import Glibc
import UringReactor

/// Accept and connect: io_uring/net.c.
extension SimulatedKernel {
    // MARK: - Accept

    private static let multishotAccept: UInt16 = 1 << 0

    func prepareAccept(_ operation: Operation) -> Int32? {
        let submission = operation.submission
        let known = UInt32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        // No table of direct descriptors (`file_index`) yet.
        guard submission.length == 0, submission.bufferIndex == 0, submission.fileIndex == 0,
            submission.ioprio & ~SimulatedKernel.multishotAccept == 0, submission.operationFlags & ~known == 0
        else { return EINVAL }
        guard submission.address != 0 else { return nil }
        guard let room = UserMemory.load(submission.offset, socklen_t.self) else { return EFAULT }
        operation.segments = [
            MemoryRange(address: UInt(submission.address), count: Int(room), isWritten: true),
            MemoryRange(address: UInt(submission.offset), count: MemoryLayout<socklen_t>.size, isWritten: true),
        ]
        return nil
    }

    func accept(_ operation: Operation) -> Outcome {
        guard let listener = operation.file as? Socket else { return .done(-ENOTSOCK) }
        // The descriptor is taken before the connection, so EMFILE comes at once, and the connection stays where it is.
        guard hasDescriptor else { return .done(-EMFILE) }
        guard listener.isListening else { return .done(-EINVAL) }
        guard !listener.accepting.isEmpty else { return .blocked }
        if draw(faults.acceptLimit, "no descriptor for an accept") {
            return .done(-[EMFILE, ENFILE, ENOBUFS, ENOMEM][random.next(in: 0...3)])
        }
        guard let accepted = listener.takeAccepting() else { return .blocked }
        if draw(faults.abortedAccept, "accepted connection is gone") {
            accepted.endpoint.abort()
            return .done(-ECONNABORTED)
        }
        let descriptor = install(Socket(accepted: accepted, by: listener))
        storePeerAddress(accepted.remote, operation)
        return operation.isMultishot ? .more(descriptor, again: true) : .done(descriptor)
    }

    /// Written at completion, not at submission: trap 8.
    private func storePeerAddress(_ address: SocketAddress, _ operation: Operation) {
        let submission = operation.submission
        guard submission.address != 0, submission.offset != 0 else { return }
        let room = Int(UserMemory.load(submission.offset, socklen_t.self) ?? 0)
        let bytes = AddressCoding.encode(address)
        let target = MemoryRange(address: UInt(submission.address), count: min(room, bytes.count), isWritten: true)
        UserMemory.write(bytes.prefix(room), to: [target], from: 0)
        UserMemory.store(socklen_t(bytes.count), at: submission.offset)
        if let held = operation.heldMemory { held.refresh(from: 0, length: held.count) }
    }

    // MARK: - Connect

    /// How long Linux tries: six retransmissions of SYN, tcp(7).
    private static let connectTimeout: UInt64 = 127_000_000_000

    func prepareConnect(_ operation: Operation) -> Int32? {
        let submission = operation.submission
        guard submission.length == 0, submission.bufferIndex == 0, submission.operationFlags == 0, submission.fileIndex == 0
        else { return EINVAL }
        guard submission.address != 0 else { return EFAULT }
        guard let address = AddressCoding.decode(at: submission.address, length: Int(submission.offset)) else {
            return EAFNOSUPPORT
        }
        operation.address = address
        return nil
    }

    func connect(_ operation: Operation) -> Outcome {
        if let result = operation.connectResult { return .done(result) }
        guard operation.connector == nil else { return .blocked }
        guard let socket = operation.file as? Socket else { return .done(-ENOTSOCK) }
        guard let address = operation.address else { return .done(-EFAULT) }
        switch socket.state {
        case .idle: break
        case .listening, .connected: return .done(-EISCONN)
        case .connecting: return .done(-EALREADY)
        }
        guard address.family == socket.family else { return .done(-EAFNOSUPPORT) }
        let local: SocketAddress
        do {
            local = try bindForConnect(socket, to: address)
        } catch {
            return .done(-error.rawValue)
        }
        let connector = SocketConnector(socket, operation, from: local, kernel: self)
        operation.connector = connector
        socket.startConnecting(operation)
        switch route(to: address) {
        case .listener(let listener): connector.knock(at: listener)
        case .failure(let errno): connector.refused(errno)
        case .silence: break
        }
        if let result = operation.connectResult { return .done(result) }
        if socket.transport == .tcp {
            events.schedule(.connectTimeout(operation), at: time + SimulatedKernel.connectTimeout)
        }
        return .blocked
    }

    func connectTimedOut(_ operation: Operation) {
        guard operation.connectResult == nil else { return }
        abandon(operation)
        settle(operation, result: -ETIMEDOUT)
    }

    // MARK: - Shutdown and close

    func prepareShutdown(_ submission: Submission) -> Int32? {
        let isClean = submission.offset == 0 && submission.address == 0 && submission.operationFlags == 0
            && submission.bufferIndex == 0 && submission.fileIndex == 0
        return isClean ? nil : EINVAL
    }

    /// shutdown(2) with `SHUT_…`: 0, or an errno.
    func shutdown(_ file: OpenFile?, _ how: Int32) -> Int32 {
        guard let file else { return EBADF }
        guard let socket = file as? Socket else { return ENOTSOCK }
        guard (Int32(SHUT_RD)...Int32(SHUT_RDWR)).contains(how) else { return EINVAL }
        let receiving = how != Int32(SHUT_WR)
        let sending = how != Int32(SHUT_RD)
        switch socket.state {
        case .idle:
            socket.shutUnconnected(receiving: receiving)
            return ENOTCONN
        case .listening:
            // tcp_disconnect: accepts that wait end with EINVAL. SHUT_WR alone means nothing to a listener.
            if receiving { socket.stopListening() }
            return 0
        case .connecting(let operation):
            operation.connector?.refused(ECONNRESET)
            return 0
        case .connected(let endpoint): return endpoint.shutdown(receiving: receiving, sending: sending)
        }
    }

    func close(_ submission: Submission) -> Int32 {
        let errno = closeDescriptor(submission.descriptor)
        if errno != 0 { reject(submission, errno) }
        return -errno
    }

    func prepareClose(_ submission: Submission) -> Int32? {
        let isClean = submission.offset == 0 && submission.address == 0 && submission.length == 0
            && submission.operationFlags == 0 && submission.bufferIndex == 0 && submission.fileIndex == 0
        return isClean ? nil : EINVAL
    }
}

/// A connect operation on its way to a listener.
final class SocketConnector: Connector {
    private let socket: Socket
    private unowned let operation: Operation
    private unowned let kernel: SimulatedKernel
    private weak var listener: Socket?
    let localAddress: SocketAddress

    init(_ socket: Socket, _ operation: Operation, from local: SocketAddress, kernel: SimulatedKernel) {
        self.socket = socket
        self.operation = operation
        self.kernel = kernel
        localAddress = local
    }

    var capacities: Endpoint.Capacities { socket.capacities }

    func knock(at listener: Socket) {
        self.listener = listener
        listener.knock(self)
    }

    func connected(_ endpoint: Endpoint, to address: SocketAddress) {
        socket.connect(endpoint, remote: operation.address ?? address)
        operation.connectResult = 0
        kernel.wake(operation)
    }

    func refused(_ errno: Int32) {
        giveUp()
        operation.connectResult = -errno
        kernel.wake(operation)
    }

    /// Nobody waits for the answer any more.
    func giveUp() {
        listener?.stopKnocking(self)
        listener = nil
        socket.stopConnecting()
    }
}
