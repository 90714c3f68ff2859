import CLiburing
import Glibc
import SystemPackage

/// What a zero-copy send keeps alive until the kernel says that it has let go of it.
///
/// Not a part of the connection's own life: the network may hold the bytes long after the descriptor is closed, and nobody
/// shall wait for that.
struct ZeroCopyHold: SlabElement {
    var bytes = Bytes()
    var connection: UInt32 = 0
    var connectionGeneration: UInt32 = 0
    var generation: UInt32 = 0
    var nextVacant: UInt32 = 0
}

/// Sends whose bytes the network reads where they are. They complete twice: with what came of the send, and, if that one
/// says that there is more, with the notification that the bytes may go (io_uring_prep_send_zc(3), Linux 6.0).
extension ConnectionTable {
    /// The most bytes objects that the network may hold at once. Beyond, sends are ordinary ones.
    static let mostZeroCopies = 65_536

    @inline(__always)
    func mayZeroCopy(_ index: UInt32, _ length: Int) -> Bool {
        length >= slots[index].limits.zeroCopyThreshold && core.kernel.capabilities.zeroCopySend
            && !slots[index].flags.contains(.noZeroCopy) && zeroCopies.count < ConnectionTable.mostZeroCopies
            && slots[index].zeroCopies < UInt16.max
    }

    /// Sends `length` bytes of a piece from byte `start` on. The connection's `sending` flag is set.
    func sendWithoutCopy(_ index: UInt32, _ bytes: Bytes, _ start: Int, _ length: Int) {
        guard let hold = zeroCopies.take() else { preconditionFailure("mayZeroCopy was asked") }
        zeroCopies[hold].bytes = bytes
        zeroCopies[hold].connection = index
        zeroCopies[hold].connectionGeneration = slots[index].generation
        slots[index].zeroCopies += 1
        core.statistics.zeroCopySends &+= 1
        let descriptor = slots[index].descriptor
        let token = OperationToken(.sendZeroCopy, slot: hold, generation: zeroCopies[hold].generation)
        unsafe core.start(.send, token) {
            unsafe io_uring_prep_send_zc($0, descriptor, bytes.start + start, length, ConnectionTable.sendFlags, 0)
        }
    }

    func zeroCopyCompleted(_ completion: Completion, _ token: OperationToken) {
        guard zeroCopies.isCurrent(token.slot, generation: token.generation) else {
            core.statistics.staleCompletions &+= 1
            return
        }
        let (index, generation) = (zeroCopies[token.slot].connection, zeroCopies[token.slot].connectionGeneration)
        // An error, too, may be followed by a notification.
        if !completion.hasMore {
            zeroCopies[token.slot].bytes = Bytes()
            zeroCopies.vacate(token.slot)
            if slots.isCurrent(index, generation: generation) { slots[index].zeroCopies -= 1 }
        }
        guard !completion.isNotification else { return }
        precondition(slots.isCurrent(index, generation: generation), "a connection ended before its send")
        core.statistics.completedByKind[.send] &+= 1
        switch -completion.result {
        case EOPNOTSUPP, EINVAL, ENOMEM, ENOBUFS:
            // Unix sockets cannot; or the memory that may be locked is used up. The next send is an ordinary one.
            slots[index].flags.insert(.noZeroCopy)
            sendCompleted(index, -EINTR)
        default: sendCompleted(index, completion.result)
        }
    }

    /// Before the descriptor of a connection that was broken off is closed: what the network still has of it is thrown
    /// away, or it would hold the bytes until it gives the peer up, minutes later.
    func dropUnsentZeroCopies(_ index: UInt32) {
        // Not of one that was closed politely, whatever for: the peer is to have it.
        guard slots[index].zeroCopies > 0, !slots[index].flags.contains(.flushed) else { return }
        switch slots[index].reason {
        case .closed, .bothEnded, nil: break
        default: try? core.kernel.resetWhenClosed(FileDescriptor(rawValue: slots[index].descriptor))
        }
    }

    /// At the end of the reactor: what the network still holds must stay as it is for as long as the process lives. Closed
    /// connections whose peers are slow to take the last bytes; none, as a rule.
    func abandonZeroCopies() {
        for index in zeroCopies.indices {
            guard let owner = unsafe zeroCopies[index].bytes.owner else { continue }
            _ = unsafe Unmanaged.passRetained(owner)
        }
    }
}
