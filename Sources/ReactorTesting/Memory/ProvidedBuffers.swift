import CLiburing
import UringReactor

/// A buffer of a ring of provided ones, as its entry was when the kernel first saw it.
struct ProvidedBuffer: Equatable, CustomStringConvertible {
    let group: UInt16
    let number: UInt16
    let range: MemoryRange

    /// Group and number in one.
    var name: UInt32 { UInt32(group) << 16 | UInt32(number) }
    var description: String { "buffer \(number) of group \(group)" }
}

/// The kernel's side of a ring of provided buffers: io_uring/kbuf.c.
@safe final class ProvidedBuffers {
    private let memory: BufferRingMemory
    let group: UInt16
    /// The next entry to take. Nobody but the kernel knows it, and it starts at 0 whatever the tail is.
    private var head: UInt16 = 0
    /// One past the last entry that was looked at.
    private var seen: UInt16 = 0
    /// What was found at each place when it was looked at, to see that nobody writes to an entry that has been handed over.
    private var known: [ProvidedBuffer?]

    init(_ memory: BufferRingMemory) {
        unsafe self.memory = unsafe memory
        unsafe group = memory.group
        known = unsafe Array(repeating: nil, count: Int(memory.count))
    }

    private var count: UInt16 { UInt16(known.count) }
    private var tail: UInt16 { unsafe ring_load_acquire_16(memory.tail) }

    private func read(_ index: UInt16) -> ProvidedBuffer {
        let entry = unsafe memory.entries[Int(index & (count - 1))]
        return ProvidedBuffer(
            group: group, number: entry.bid,
            range: MemoryRange(address: UInt(entry.addr), count: Int(entry.len), isWritten: true))
    }

    /// The entries that were added since the last look; nil if there are more than places, so that some are lost.
    func takeAdded() -> [ProvidedBuffer]? {
        let tail = tail
        guard tail &- head <= count else {
            seen = tail
            return nil
        }
        var added: [ProvidedBuffer] = []
        while seen != tail {
            let buffer = read(seen)
            known[Int(seen & (count - 1))] = buffer
            added.append(buffer)
            seen &+= 1
        }
        return added
    }

    /// The buffer at the head, left there; nil if there is none: `io_ring_buffer_select`.
    var first: ProvidedBuffer? {
        head == tail ? nil : read(head)
    }

    /// Whether the entry at the head is not what it was when it was handed over.
    var firstHasChanged: Bool {
        guard let noted = known[Int(head & (count - 1))] else { return false }
        return noted != first
    }

    /// The buffer at the head has been used.
    func advance() {
        known[Int(head & (count - 1))] = nil
        head &+= 1
    }

    /// The buffers that the kernel could still pick.
    var waiting: [ProvidedBuffer] { known.compactMap { $0 } }
}

/// Which provided memory is the kernel's: from the moment it is added to a ring until a completion has brought it back.
struct ProvidedMemory {
    /// By address. None overlaps another.
    private var owned: [ProvidedBuffer] = []
    /// Groups and numbers of all of them.
    private var names: Set<UInt32> = []

    var all: [ProvidedBuffer] { owned }
    var count: Int { owned.count }

    enum Taken {
        case now
        /// A buffer of this number is the kernel's already.
        case sameNumber
        /// A part of its memory is.
        case overlaps(ProvidedBuffer)
    }

    mutating func take(_ buffer: ProvidedBuffer) -> Taken {
        guard !names.contains(buffer.name) else { return .sameNumber }
        let place = firstPlace(endingAfter: buffer.range.address)
        if place < owned.count, owned[place].range.address < buffer.range.address + UInt(buffer.range.count) {
            return .overlaps(owned[place])
        }
        owned.insert(buffer, at: place)
        names.insert(buffer.name)
        return .now
    }

    mutating func giveBack(_ buffer: ProvidedBuffer) {
        let place = firstPlace(endingAfter: buffer.range.address)
        guard place < owned.count, owned[place] == buffer else { return }
        owned.remove(at: place)
        names.remove(buffer.name)
    }

    /// The buffer that has a byte in common with `range`, or nil.
    func owned(overlapping range: MemoryRange) -> ProvidedBuffer? {
        guard !owned.isEmpty else { return nil }
        let place = firstPlace(endingAfter: range.address)
        return place < owned.count && owned[place].range.overlaps(range) ? owned[place] : nil
    }

    private func firstPlace(endingAfter address: UInt) -> Int {
        var low = 0
        var high = owned.count
        while low < high {
            let middle = (low + high) / 2
            let range = owned[middle].range
            if range.address + UInt(range.count) > address { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
