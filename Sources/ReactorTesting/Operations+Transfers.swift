import Glibc

/// Receives and sends: io_uring/net.c over net/ipv4/tcp.c and net/unix/af_unix.c.
extension SimulatedKernel {
    private static let waitAll = UInt32(MSG_WAITALL)
    private static let dontWait = UInt32(MSG_DONTWAIT)
    private static let peek = UInt32(MSG_PEEK)
    private static let noSignal = UInt32(MSG_NOSIGNAL)
    /// `IORING_RECVSEND_POLL_FIRST`: only a hint.
    private static let pollFirst: UInt16 = 1 << 0
    /// `IORING_CQE_F_SOCK_NONEMPTY`
    private static let moreToRead: UInt32 = 1 << 2

    func prepareTransfer(_ operation: Operation) -> Int32? {
        let submission = operation.submission
        // No multishot receive, no registered or provided buffers yet: any other bit of ioprio is refused.
        guard submission.offset == 0, submission.fileIndex == 0, submission.ioprio & ~SimulatedKernel.pollFirst == 0 else {
            return EINVAL
        }
        let isReceive = submission.opcode == .recv
        let known = SimulatedKernel.waitAll | SimulatedKernel.dontWait | SimulatedKernel.noSignal
            | (isReceive ? SimulatedKernel.peek : UInt32(MSG_MORE))
        guard submission.operationFlags & ~known == 0 else {
            violation("flags the simulator does not know: \(submission)")
            return EINVAL
        }
        guard submission.address != 0 || submission.length == 0 else { return EFAULT }
        operation.segments = [
            MemoryRange(address: UInt(submission.address), count: Int(submission.length), isWritten: isReceive)
        ]
        return nil
    }

    /// struct msghdr and its iovecs, which may go away after the submission; what they point to may not.
    func prepareSendmsg(_ operation: Operation) -> Int32? {
        let submission = operation.submission
        guard submission.offset == 0, submission.fileIndex == 0, submission.ioprio & ~SimulatedKernel.pollFirst == 0 else {
            return EINVAL
        }
        guard let name = UserMemory.load(submission.address, UInt64.self),
            let vectors = UserMemory.load(submission.address + 16, UInt64.self),
            let count = UserMemory.load(submission.address + 24, UInt64.self),
            let control = UserMemory.load(submission.address + 40, UInt64.self)
        else { return EFAULT }
        guard name == 0, control == 0 else {
            violation("a sendmsg with an address or control data, which the simulator does not model: \(submission)")
            return EINVAL
        }
        // UIO_MAXIOV
        guard count <= 1024 else { return EMSGSIZE }
        for index in 0..<count {
            guard let start = UserMemory.load(vectors + 16 * index, UInt64.self),
                let length = UserMemory.load(vectors + 16 * index + 8, UInt64.self),
                start != 0 || length == 0
            else { return EFAULT }
            operation.segments.append(MemoryRange(address: UInt(start), count: Int(length), isWritten: false))
        }
        return nil
    }

    private func isWaitAll(_ operation: Operation) -> Bool {
        operation.opcode != .read && operation.opcode != .write
            && operation.submission.operationFlags & SimulatedKernel.waitAll != 0
    }

    private func orWait(_ operation: Operation) -> Outcome {
        let isSocketCall = operation.opcode != .read && operation.opcode != .write
        guard isSocketCall, operation.submission.operationFlags & SimulatedKernel.dontWait != 0 else { return .blocked }
        return .done(failure(of: operation, EAGAIN))
    }

    /// How much of `most` bytes is transferred now, and whether that is a fault.
    func portion(of most: Int, _ operation: Operation, _ probability: Double) -> (length: Int, isShort: Bool) {
        guard most > 1 else { return (most, false) }
        if let length = oneShots.takeLength(of: operation.opcode) { return (min(length, most), length < most) }
        guard draw(probability, "short \(operation.opcode)") else { return (most, false) }
        return (random.next(in: 1...(most - 1)), true)
    }

    // MARK: - Receiving

    func receive(_ operation: Operation) -> Outcome {
        guard let socket = operation.file as? Socket else { return .done(-ENOTSOCK) }
        guard let endpoint = socket.endpoint else {
            guard socket.transport == .tcp else { return .done(-EINVAL) }
            // tcp_recvmsg looks at the shut half before it looks at the state.
            return .done(socket.receiveShut ? 0 : -ENOTCONN)
        }
        if endpoint.transport == .tcp, draw(faults.connectionReset, "connection reset") { endpoint.breakConnection() }
        while true {
            switch endpoint.pollReceive() {
            case .end: return .done(Int32(operation.transferred))
            case .failure(let errno): return .done(failure(of: operation, errno))
            case .nothing: return orWait(operation)
            case .bytes: break
            }
            let wanted = operation.length - operation.transferred
            let (length, isShort) = portion(of: min(wanted, endpoint.incoming.count), operation, faults.shortReceive)
            UserMemory.write(endpoint.incoming.peek(length), to: operation.segments, from: operation.transferred)
            operation.transferred += length
            if operation.opcode != .recv || operation.submission.operationFlags & SimulatedKernel.peek == 0 {
                endpoint.consume(length)
            }
            if endpoint.transport == .tcp, operation.opcode == .recv, endpoint.incoming.count > 0 {
                operation.completionFlags = SimulatedKernel.moreToRead
            }
            if isShort || operation.transferred == operation.length || !isWaitAll(operation) {
                return .done(Int32(operation.transferred))
            }
        }
    }

    // MARK: - Sending

    func send(_ operation: Operation) -> Outcome {
        guard let socket = operation.file as? Socket else { return .done(-ENOTSOCK) }
        // tcp_sendmsg waits for a connection that is under way, and finds a broken pipe if there is none.
        guard let endpoint = socket.endpoint else {
            if case .connecting = socket.state { return orWait(operation) }
            return brokenPipe(operation, socket.transport == .tcp ? EPIPE : ENOTCONN)
        }
        if endpoint.transport == .tcp, draw(faults.connectionReset, "connection reset") { endpoint.breakConnection() }
        while true {
            let wanted = operation.length - operation.transferred
            switch endpoint.pollSend() {
            case .failure(let errno): return brokenPipe(operation, errno)
            case .full: return wanted == 0 ? .done(Int32(operation.transferred)) : orWait(operation)
            case .room(let room):
                let (length, isShort) = portion(of: min(wanted, room), operation, faults.shortSend)
                endpoint.send(UserMemory.read(operation.segments, from: operation.transferred, length: length))
                operation.transferred += length
                if isShort || length == wanted || !isWaitAll(operation) { return .done(Int32(operation.transferred)) }
            }
        }
    }

    private func brokenPipe(_ operation: Operation, _ errno: Int32) -> Outcome {
        // A write has no MSG_NOSIGNAL, which io_uring sets by itself for a send (trap 28).
        if operation.opcode == .write, errno == EPIPE {
            violation("a write to a socket nobody reads from any more raises SIGPIPE: \(operation.submission)")
        }
        return .done(failure(of: operation, errno))
    }
}
