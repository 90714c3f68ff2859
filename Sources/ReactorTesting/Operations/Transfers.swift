import Glibc

/// Receives and sends: io_uring/net.c over net/ipv4/tcp.c and net/unix/af_unix.c.
extension SimulatedKernel {
    private static let waitAll = UInt32(MSG_WAITALL)
    private static let dontWait = UInt32(MSG_DONTWAIT)
    private static let peek = UInt32(MSG_PEEK)
    private static let noSignal = UInt32(MSG_NOSIGNAL)

    func prepareTransfer(_ operation: Operation) -> Int32? {
        let submission = operation.submission
        // No registered buffers yet, and no bundles: any other bit of ioprio is refused.
        guard submission.offset == 0, submission.fileIndex == 0, submission.ioprio & ~TransferFlags.known(operation) == 0
        else { return EINVAL }
        let isReceive = submission.opcode == .recv
        if operation.isMultishot, let errno = refusalOfMultishot(submission) { return errno }
        let known = SimulatedKernel.waitAll | SimulatedKernel.dontWait | SimulatedKernel.noSignal
            | (isReceive ? SimulatedKernel.peek : UInt32(MSG_MORE))
        guard submission.operationFlags & ~known == 0 else {
            violation("flags the simulator does not know: \(submission)")
            return EINVAL
        }
        // What a buffer will be taken for is not known yet.
        guard operation.bufferGroup == nil else { return nil }
        guard submission.address != 0 || submission.length == 0 else { return EFAULT }
        operation.segments = [
            MemoryRange(address: UInt(submission.address), count: Int(submission.length), isWritten: isReceive)
        ]
        return nil
    }

    /// io_recvmsg_prep. A length was refused until Linux 6.10, which takes it for the longest single receive.
    private func refusalOfMultishot(_ submission: Submission) -> Int32? {
        guard capabilities.multishotReceive, submission.flags & EntryFlags.bufferSelect != 0, submission.length == 0,
            submission.operationFlags & SimulatedKernel.waitAll == 0
        else { return EINVAL }
        if submission.operationFlags & SimulatedKernel.peek != 0 {
            violation("a multishot receive that only peeks, which the simulator does not model: \(submission)")
            return EINVAL
        }
        return nil
    }

    /// struct msghdr and its iovecs, which may go away after the submission; what they point to may not.
    func prepareSendmsg(_ operation: Operation) -> Int32? {
        let submission = operation.submission
        guard submission.offset == 0, submission.fileIndex == 0, submission.ioprio & ~TransferFlags.known(operation) == 0
        else { return EINVAL }
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
        operation.completionFlags = 0
        guard let socket = operation.file as? Socket else { return .done(-ENOTSOCK) }
        // Before anything else, and whether or not there is something to receive: io_recv_buf_select.
        guard let picked = pickBuffer(operation) else { return .done(failure(of: operation, ENOBUFS)) }
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
            if case .buffer(let buffer) = picked, operation.buffer == nil { use(buffer, for: operation) }
            write(endpoint.incoming.peek(length), to: operation, from: operation.transferred)
            operation.transferred += length
            if operation.opcode != .recv || operation.submission.operationFlags & SimulatedKernel.peek == 0 {
                endpoint.consume(length)
            }
            // tcp_inq_hint: an end that has come counts as something to read.
            if endpoint.transport == .tcp, operation.opcode == .recv, endpoint.incoming.count > 0 || endpoint.end == .seen {
                operation.completionFlags = CompletionFlags.moreToRead
            }
            if operation.isMultishot {
                // A Unix socket says nothing of what is left (before Linux 6.17), so that Linux looks again.
                let mayHaveMore = endpoint.transport == .unix || operation.completionFlags != 0
                return length == 0 ? .done(0) : .more(Int32(length), again: mayHaveMore)
            }
            if isShort || operation.transferred == operation.length || !isWaitAll(operation) {
                return .done(Int32(operation.transferred))
            }
        }
    }

    private enum Picked {
        /// The receive came with its own memory, or has its buffer already.
        case own
        case buffer(ProvidedBuffer)
    }

    /// Where a receive would put what comes: nil if there is no buffer. Only when something has come is the buffer taken out
    /// of its ring, so those that wait hold none.
    private func pickBuffer(_ operation: Operation) -> Picked? {
        guard let group = operation.bufferGroup, operation.buffer == nil else { return .own }
        operation.segments = []
        guard let buffer = selectBuffer(group) else { return nil }
        let wanted = Int(operation.submission.length)
        let count = wanted == 0 ? buffer.range.count : min(wanted, buffer.range.count)
        operation.segments = [MemoryRange(address: buffer.range.address, count: count, isWritten: true)]
        return .buffer(buffer)
    }

    // MARK: - Sending

    func send(_ operation: Operation) -> Outcome {
        guard let socket = operation.file as? Socket else { return .done(-ENOTSOCK) }
        // tcp_sendmsg waits for a connection that is under way, and finds a broken pipe if there is none.
        guard let endpoint = socket.endpoint else {
            if case .connecting = socket.state { return orWait(operation) }
            return brokenPipe(operation, socket.transport == .tcp ? EPIPE : ENOTCONN)
        }
        if operation.submission.operationFlags & SimulatedKernel.dontWait != 0, operation.opcode != .write,
            draw(faults.sendAgain, "no room after all") {
            return .done(failure(of: operation, EAGAIN))
        }
        if endpoint.transport == .tcp, draw(faults.connectionReset, "connection reset") { endpoint.breakConnection() }
        while true {
            let wanted = operation.length - operation.transferred
            switch endpoint.pollSend() {
            case .failure(let errno): return brokenPipe(operation, errno)
            case .full: return wanted == 0 ? .done(Int32(operation.transferred)) : orWait(operation)
            case .room(let room):
                let (length, isShort) = portion(of: min(wanted, room), operation, faults.shortSend)
                let bytes = UserMemory.read(operation.segments, from: operation.transferred, length: length)
                endpoint.send(bytes)
                operation.notification?.add(length, to: endpoint)
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

/// `ioprio` of sends and receives.
enum TransferFlags {
    /// `IORING_RECVSEND_POLL_FIRST`: only a hint.
    private static let pollFirst: UInt16 = 1 << 0
    /// `IORING_RECV_MULTISHOT`
    static let multishot: UInt16 = 1 << 1
    /// `IORING_SEND_ZC_REPORT_USAGE`, Linux 6.2
    static let reportUsage: UInt16 = 1 << 3

    static func known(_ operation: Operation) -> UInt16 {
        switch operation.opcode {
        case .recv: pollFirst | multishot
        case .sendZeroCopy, .sendmsgZeroCopy: pollFirst | reportUsage
        default: pollFirst
        }
    }
}
