import CLiburing
import Glibc
import SystemPackage

/// Peers that take no more for now: waiting for room, how long that may take, and what waits meanwhile.
extension ConnectionTable {
    /// The peer, or the network, takes no more for now.
    func stall(_ index: UInt32) {
        core.statistics.stalls &+= 1
        slots[index].flags.insert(.stalled)
        list(stalled: index)
        if !slots[index].flags.isDisjoint(with: [.pollsInVain, .peerEnded]) {
            retryLater(index)
        } else {
            slots[index].inFlight += 1
            let descriptor = slots[index].descriptor
            unsafe core.start(.poll, token(.writable, index)) {
                unsafe io_uring_prep_poll_add($0, descriptor, UInt32(POLLOUT))
            }
        }
        guard slots[index].limits.write > 0, slots[index].writeDeadline == 0 else { return }
        slots[index].unacknowledged = unacknowledgedBytes(index)
        slots[index].writeDeadline = core.deadline(nanoseconds: slots[index].limits.write)
        schedule(index)
    }

    private func unacknowledgedBytes(_ index: UInt32) -> Int32 {
        let descriptor = FileDescriptor(rawValue: slots[index].descriptor)
        return Int32(clamping: (try? core.kernel.unacknowledgedBytes(of: descriptor)) ?? 0)
    }

    /// There is room again, or the connection is gone: the next send will say so.
    func writableCompleted(_ index: UInt32, _ result: Int32) {
        slots[index].inFlight -= 1
        guard slots[index].state != .closing else {
            slots[index].flags.remove(.stalled)
            return joinIfAlone(index)
        }
        // What waited was dropped, and nothing more may be sent.
        guard slots[index].state.sends else { return slots[index].flags.subtract(.stalled) }
        if result > 0, result & Int32(POLLOUT | POLLERR | POLLHUP) == 0 {
            // The kernel adds to what is asked for that the peer has ended its sending (`IO_POLL_UNMASK` in
            // io_uring/poll.c), and from then on no poll of this socket waits any more.
            slots[index].flags.insert(.pollsInVain)
            retryLater(index)
        } else {
            goOn(index)
        }
    }

    private func goOn(_ index: UInt32) {
        slots[index].flags.remove(.stalled)
        // What waited may have been dropped.
        tellDrained(index)
        sendOn(index, isFull: false)
    }

    /// Tries again after a while: a millisecond, then longer and longer as long as nothing can be sent.
    ///
    /// A send that waits in the kernel would be no better: it has the same trouble with its own poll, and ends up in a
    /// worker thread, one for each such connection.
    private func retryLater(_ index: UInt32) {
        slots[index].retryAt = core.deadline(nanoseconds: 1_000_000 << UInt64(slots[index].retries))
        slots[index].retries = min(slots[index].retries + 1, ConnectionTable.mostRetriesCounted)
        schedule(index)
    }

    /// Nothing is left to be sent, or it will not be.
    func stopWaitingForRoom(_ index: UInt32) {
        slots[index].writeDeadline = 0
        slots[index].retryAt = 0
    }

    /// 2⁹ milliseconds.
    private static let mostRetriesCounted: UInt8 = 9

    func retryIsDue(_ index: UInt32) {
        slots[index].retryAt = 0
        goOn(index)
    }

    /// Nothing was sent for as long as a peer may take nothing. That it has acknowledged something counts, though it was not
    /// yet enough to make room.
    func writeDeadlinePassed(_ index: UInt32) {
        let unacknowledged = unacknowledgedBytes(index)
        guard unacknowledged >= slots[index].unacknowledged else {
            slots[index].unacknowledged = unacknowledged
            slots[index].writeDeadline = core.deadline(nanoseconds: slots[index].limits.write)
            return
        }
        slots[index].writeDeadline = 0
        end(index, .writeTimedOut)
    }

    private func list(stalled index: UInt32) {
        guard !slots[index].flags.contains(.listedStalled) else { return }
        slots[index].flags.insert(.listedStalled)
        stalledConnections.append(index)
        if stalledConnections.count > 2 * slots.count + 64 { forgetUnstalled() }
    }

    private func forgetUnstalled() {
        stalledConnections.removeAll { index in
            // Of a slot that had another connection then, the flag is not set; or the other connection is in the list, too,
            // and stays once.
            guard slots[index].flags.contains(.listedStalled) else { return true }
            slots[index].flags.remove(.listedStalled)
            return !slots[index].flags.contains(.stalled)
        }
        for index in stalledConnections { slots[index].flags.insert(.listedStalled) }
    }

    /// Copies what waits for peers that do not read, so that it no longer keeps receive buffers from being used.
    func compactStalled() {
        forgetUnstalled()
        for index in stalledConnections {
            core.statistics.bytesCopied &+= UInt64(slots[index].queue.compact())
        }
    }
}
