/// Deadlines kept by the reactor itself: thousands of them cost the kernel nothing but the timeout of one wait.
///
/// A binary heap. Entries are not removed when what they were for has ended; they are recognized as stale when they come
/// due, or thrown out together when they are more than half of the heap.
struct TimerQueue {
    struct Entry {
        /// Nanoseconds of the kernel's clock.
        var deadline: UInt64
        /// Entries of one deadline come out in the order they went in.
        var order: UInt64
        var token: OperationToken

        static func < (left: Entry, right: Entry) -> Bool {
            left.deadline != right.deadline ? left.deadline < right.deadline : left.order < right.order
        }
    }

    private var heap: [Entry] = []
    private var nextOrder: UInt64 = 0
    private var staleCount = 0

    var count: Int { heap.count }
    var isEmpty: Bool { heap.isEmpty }

    /// The earliest deadline; may be that of a stale entry.
    var next: UInt64? { heap.first?.deadline }

    mutating func add(_ token: OperationToken, at deadline: UInt64) {
        heap.append(Entry(deadline: deadline, order: nextOrder, token: token))
        nextOrder += 1
        siftUp(heap.count - 1)
    }

    /// Takes the earliest entry if it is due.
    mutating func popDue(at now: UInt64) -> OperationToken? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown(0)
        }
        return first.token
    }

    /// Says that one entry has become stale. When most are, `isLive` decides which stay.
    mutating func noteStale(isLive: (OperationToken) -> Bool) {
        staleCount += 1
        guard staleCount > 64, staleCount > heap.count / 2 else { return }
        staleCount = 0
        heap.removeAll { !isLive($0.token) }
        for position in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(position) }
    }

    private mutating func siftUp(_ start: Int) {
        var position = start
        let entry = heap[position]
        while position > 0 {
            let parent = (position - 1) / 2
            guard entry < heap[parent] else { break }
            heap[position] = heap[parent]
            position = parent
        }
        heap[position] = entry
    }

    private mutating func siftDown(_ start: Int) {
        var position = start
        let entry = heap[position]
        while true {
            var child = position * 2 + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < entry else { break }
            heap[position] = heap[child]
            position = child
        }
        heap[position] = entry
    }
}
