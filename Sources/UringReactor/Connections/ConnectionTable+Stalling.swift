import CLiburing
import Glibc
import SystemPackage

/// Peers that take no more for now: waiting for room, how long that may take, and what waits meanwhile.
extension ConnectionTable {
    /// The peer, or the network, takes no more for now.
    func stall(_ index: UInt32) {
        core.statistics.stalls &+= 1
        slots[index].flags.insert(.stalled)
        slots[index].inFlight += 1
        list(stalled: index)
        let descriptor = slots[index].descriptor
        unsafe core.start(.poll, token(.writable, index)) {
            unsafe io_uring_prep_poll_add($0, descriptor, UInt32(POLLOUT))
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
    ///
    /// The kernel adds to what is asked for that the peer has ended its sending (`IO_POLL_UNMASK` in io_uring/poll.c), and
    /// from then on no poll waits any more. Then the next send does.
    func writableCompleted(_ index: UInt32, _ result: Int32) {
        let saysNothing = result > 0 && result & Int32(POLLOUT | POLLERR | POLLHUP) == 0
        slots[index].flags.remove(.stalled)
        slots[index].inFlight -= 1
        guard slots[index].state != .closing else { return joinIfAlone(index) }
        // What waited may have been dropped.
        tellDrained(index)
        sendOn(index, isFull: false, waitsForRoom: saysNothing)
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
