import CLiburing
import Glibc

/// How a slot becomes a submission.
extension CallbackRegistry {
    /// Fills the entry from the slot: the first time, and each time the operation is started again.
    @inline(__always)
    static func prepare(_ entry: UnsafeMutablePointer<io_uring_sqe>, _ slot: UnsafeMutablePointer<CallbackSlot>) {
        if unsafe slot.pointee.kind == .nop {
            unsafe io_uring_prep_nop(entry)
        } else {
            unsafe prepareOther(entry, slot)
        }
    }

    /// An attachment that is not what its kind of operation needs is a bug of ours, and traps: an entry left unfilled
    /// would run as a no-op and complete as a success.
    private static func prepareOther(
        _ entry: UnsafeMutablePointer<io_uring_sqe>, _ slot: UnsafeMutablePointer<CallbackSlot>
    ) {
        let descriptor = unsafe slot.pointee.descriptor
        let isMultishot = unsafe slot.pointee.flags.contains(.multishot)
        let arguments = unsafe slot.pointee.arguments
        switch unsafe slot.pointee.kind {
        case .accept:
            // No address: where the kernel would write it must live until the completion, and getpeername(2) can tell.
            let flags = Int32(SOCK_CLOEXEC.rawValue)
            if isMultishot {
                unsafe io_uring_prep_multishot_accept(entry, descriptor, nil, nil, flags)
            } else {
                unsafe io_uring_prep_accept(entry, descriptor, nil, nil, flags)
            }
        case .connect:
            let address = unsafe slot.pointee.attachment as! SocketAddressMemory
            unsafe io_uring_prep_connect(entry, descriptor, address.pointer, address.length)
        case .receive:
            let buffer = unsafe slot.pointee.attachment
            if let buffer = buffer as? PooledBuffer {
                let length = min(Int(arguments.tv_nsec), buffer.room)
                unsafe io_uring_prep_recv(entry, descriptor, buffer.target, length, 0)
            } else {
                let buffer = buffer as! OwnBuffer
                unsafe io_uring_prep_recv(entry, descriptor, buffer.start, Int(arguments.tv_nsec), 0)
            }
        case .send:
            // MSG_WAITALL: the kernel itself goes on after a short send, as far as it can (Linux 5.19).
            let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_WAITALL)
            if let vector = unsafe slot.pointee.attachment as? VectorBlock {
                unsafe io_uring_prep_sendmsg(entry, descriptor, vector.header, UInt32(bitPattern: flags))
            } else {
                let done = unsafe slot.pointee.progress
                let bytes = unsafe slot.pointee.bytes
                // An entry has 32 bits for the length; the rest goes out as after a short send.
                let length = min(bytes.count - done, Int(Int32.max))
                unsafe io_uring_prep_send(entry, descriptor, bytes.start + done, length, flags)
            }
        case .shutdown:
            unsafe io_uring_prep_shutdown(entry, descriptor, Int32(arguments.tv_nsec))
        case .close:
            unsafe io_uring_prep_close(entry, descriptor)
        case .poll:
            if isMultishot {
                unsafe io_uring_prep_poll_multishot(entry, descriptor, UInt32(arguments.tv_nsec))
            } else {
                unsafe io_uring_prep_poll_add(entry, descriptor, UInt32(arguments.tv_nsec))
            }
        case .timeout:
            let flags = isMultishot ? UInt32(RING_TIMEOUT_MULTISHOT) : 0
            let span = unsafe UnsafeMutableRawPointer(slot).advanced(by: CallbackSlot.argumentsOffset)
            unsafe io_uring_prep_timeout(entry, span.assumingMemoryBound(to: __kernel_timespec.self), 0, flags)
        case .cancel:
            unsafe io_uring_prep_cancel_fd(
                entry, descriptor, UInt32(IORING_ASYNC_CANCEL_ALL))
        case .open:
            let path = unsafe slot.pointee.attachment as! PathMemory
            unsafe io_uring_prep_openat(
                entry, AT_FDCWD, path.start, Int32(arguments.tv_sec), mode_t(truncatingIfNeeded: arguments.tv_nsec))
        case .read:
            let buffer = unsafe slot.pointee.attachment as! OwnBuffer
            unsafe io_uring_prep_read(
                entry, descriptor, buffer.start, UInt32(arguments.tv_nsec), UInt64(bitPattern: arguments.tv_sec))
        case .write:
            let done = unsafe slot.pointee.progress
            let bytes = unsafe slot.pointee.bytes
            let length = UInt32(min(bytes.count - done, Int(Int32.max)))
            // An offset of -1 writes at the file's own position, which moves on by itself.
            let offset = arguments.tv_sec < 0 ? arguments.tv_sec : arguments.tv_sec + Int64(done)
            unsafe io_uring_prep_write(entry, descriptor, bytes.start + done, length, UInt64(bitPattern: offset))
        case .fsync:
            unsafe io_uring_prep_fsync(entry, descriptor, UInt32(arguments.tv_nsec))
        case .fileSize:
            let status = unsafe slot.pointee.attachment as! FileStatus
            unsafe io_uring_prep_statx(
                entry, descriptor, status.emptyPath, Int32(RING_AT_EMPTY_PATH), UInt32(STATX_SIZE), status.pointer)
        case .nop, .wakeUp, .timer, .bind, .listen, .socket:
            preconditionFailure("not an operation of the ring")
        }
    }
}

extension CallbackSlot {
    /// Where ``arguments`` lies in a slot: the kernel reads a timeout's timespec from there.
    static let argumentsOffset = MemoryLayout<CallbackSlot>.offset(of: \.arguments)!
}
