/// What will happen at a point of simulated time.
struct Event {
    enum Action {
        /// A timeout of this operation fires, unless its timer was set anew since.
        case timer(Operation, generation: UInt32)
        /// A completion that was held back is posted.
        case post(Operation, result: Int32)
        /// An operation whose readiness was held back tries again.
        case attempt(Operation)
        /// The memory of a zero-copy send is let go of.
        case notify(Operation)
        /// Nobody answered a connect.
        case connectTimeout(Operation)
        /// The network breaks a connection.
        case breakConnection(Endpoint, Endpoint.Break)
        /// A test's own step.
        case script(() -> Void)
    }

    let due: UInt64
    /// Of two events due at once, the one that was scheduled first is first.
    let sequence: UInt64
    let action: Action

    /// Whether the event still means anything.
    var isLive: Bool {
        switch action {
        case .timer(let operation, let generation):
            operation.isPending && operation.timer?.generation == generation
        case .post(let operation, _), .notify(let operation): operation.stage != .posted
        case .attempt(let operation), .connectTimeout(let operation): operation.isPending
        case .breakConnection(let endpoint, _): endpoint.canBreak
        case .script: true
        }
    }
}

/// The future, soonest first: a binary heap.
struct EventQueue {
    private var heap: [Event] = []
    private var sequence: UInt64 = 0

    mutating func schedule(_ action: Event.Action, at due: UInt64) {
        insert(Event(due: due, sequence: sequence, action: action))
        sequence += 1
    }

    private mutating func insert(_ event: Event) {
        heap.append(event)
        var child = heap.count - 1
        while child > 0, EventQueue.isBefore(heap[child], heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// When the next event is due that still means anything, or nil.
    mutating func nextDue() -> UInt64? {
        while let first = heap.first {
            if first.isLive { return first.due }
            _ = removeFirst()
        }
        return nil
    }

    /// The next live event due at `time` or before, removed.
    mutating func popDue(at time: UInt64) -> Event? {
        guard let due = nextDue(), due <= time else { return nil }
        return removeFirst()
    }

    /// The scripts due at `time` or before, removed, in order; everything else stays.
    mutating func popScript(until time: UInt64) -> Event? {
        func isWanted(_ event: Event) -> Bool {
            if case .script = event.action { event.due <= time } else { false }
        }
        guard let place = heap.indices.filter({ isWanted(heap[$0]) }).min(by: { EventQueue.isBefore(heap[$0], heap[$1]) })
        else { return nil }
        let first = heap[place]
        // Those that come after it are put in anew, one by one: few scripts are due, and each of them once.
        let rest = heap[(place + 1)...]
        heap.removeSubrange(place...)
        for event in rest { insert(event) }
        return first
    }

    private static func isBefore(_ left: Event, _ right: Event) -> Bool {
        (left.due, left.sequence) < (right.due, right.sequence)
    }

    private mutating func removeFirst() -> Event {
        let first = heap[0]
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { return first }
            if child + 1 < heap.count, EventQueue.isBefore(heap[child + 1], heap[child]) { child += 1 }
            guard EventQueue.isBefore(heap[child], heap[parent]) else { return first }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}
