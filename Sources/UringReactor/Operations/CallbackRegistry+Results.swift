import CLiburing
import SystemPackage

/// What a result means for each kind of operation.
extension CallbackRegistry {
    /// Whether the operation goes on by itself: it was interrupted, or a part of what it sends is left.
    func continues(after result: Int32, _ index: UInt32) -> Bool {
        guard !slots[index].flags.isEnding, !core.isDraining else { return false }
        if result == -EINTR {
            core.statistics.retries &+= 1
            return true
        }
        guard result > 0, slots[index].kind == .send || slots[index].kind == .write else { return false }
        let total = length(index)
        slots[index].progress += Int(result)
        guard slots[index].progress < total else {
            slots[index].progress -= Int(result)
            return false
        }
        // Not short: all that fits into one vector, of more pieces than that.
        let vector = slots[index].attachment as? VectorBlock
        if Int(result) < vector?.offered ?? .max { core.statistics.shortSends &+= 1 }
        core.statistics.bytesSent &+= UInt64(result)
        vector?.advance(by: Int(result))
        return true
    }

    /// Bytes that the operation sends in all.
    private func length(_ index: UInt32) -> Int {
        (slots[index].attachment as? VectorBlock)?.total ?? slots[index].bytes.count
    }

    func outcome(of result: Int32, _ index: UInt32) -> Result<Int, IOError> {
        guard result >= 0 else { return failure(-result, index) }
        switch slots[index].kind {
        case .send, .write:
            let total = slots[index].progress + Int(result)
            // A part, and no more can be sent: cancelled in between, or a file that takes nothing (write(2) returned 0).
            guard total == length(index) else {
                return failure(slots[index].flags.isEnding || core.isDraining ? ECANCELED : EIO, index)
            }
            core.statistics.bytesSent &+= UInt64(result)
            return .success(total)
        case .receive:
            core.statistics.bytesReceived &+= UInt64(result)
            return .success(Int(result))
        case .fileSize:
            return .success((slots[index].attachment as? FileStatus)?.size ?? 0)
        default:
            return .success(Int(result))
        }
    }

    private func failure(_ number: Int32, _ index: UInt32) -> Result<Int, IOError> {
        let kind = slots[index].kind
        // A timeout that has run out says so by failing: io_uring_enter(2), IORING_OP_TIMEOUT.
        if kind == .timeout, number == ETIME { return .success(0) }
        var errno = Errno(rawValue: number)
        let flags = slots[index].flags
        // A worker thread that is interrupted by a cancel says EINTR.
        if flags.isEnding, errno == .interrupted { errno = .canceled }
        if flags.contains(.timedOut), errno == .canceled { errno = .timedOut }
        let target: String? =
            switch slots[index].attachment {
            case let address as SocketAddressMemory: address.address.description
            case let path as PathMemory: path.path.string
            default: nil
            }
        let descriptor = slots[index].descriptor >= 0 ? FileDescriptor(rawValue: slots[index].descriptor) : nil
        return .failure(IOError(kind, errno, descriptor: descriptor, target: target))
    }

    /// Calls a callback with its own form of the outcome. An error it throws is counted and reported.
    @inline(__always)
    func call(
        _ callback: borrowing Callback, _ outcome: Result<Int, IOError>, kind: OperationKind,
        attachment: consuming AnyObject? = nil
    ) {
        var isJob = false
        do {
            switch callback {
            case .none: break
            case .status(let callback):
                switch outcome {
                case .success: try callback(.success(()))
                case .failure(let error): try callback(.failure(error))
                }
            case .count(let callback): try callback(outcome)
            case .descriptor(let callback): try callback(outcome.map { FileDescriptor(rawValue: Int32($0)) })
            case .events(let callback): try callback(outcome.map { PollEvents(rawValue: UInt32(truncatingIfNeeded: $0)) })
            case .bytes(let callback): try call(callback, outcome, attachment.take())
            case .job(let job):
                isJob = true
                switch outcome {
                case .success: try job()
                // That it was cancelled is no news; that it will not go on for another reason is, and nobody else hears it.
                case .failure(let error): if !error.isCancelled { throw error }
                }
            }
        } catch {
            core.statistics.errorsThrown &+= 1
            core.report(isJob ? .jobThrew(error) : .callbackThrew(error, operation: kind))
        }
    }

    func call(
        _ callback: (Result<Bytes, IOError>) throws -> Void, _ outcome: Result<Int, IOError>,
        _ attachment: consuming AnyObject?
    ) throws {
        var attachment = consume attachment
        if let own = attachment as? OwnBuffer { return try callback(outcome.map { own.slice($0) }) }
        // The only reference from here on, so that the pool sees at once whether the callback has kept a slice.
        guard let buffer = attachment.take() as? PooledBuffer else { return try callback(outcome.map { _ in Bytes() }) }
        let received: Result<Bytes, IOError> =
            switch outcome {
            case .success(let count): .success(buffer.slice(count))
            case .failure(let error): .failure(error)
            }
        // Back to the pool whether the callback throws or not; what it keeps of the buffer lives on.
        let thrown: (any Error)?
        do {
            try callback(consume received)
            thrown = nil
        } catch {
            thrown = error
        }
        core.buffers.checkIn(consume buffer)
        if let thrown { throw thrown }
    }
}
