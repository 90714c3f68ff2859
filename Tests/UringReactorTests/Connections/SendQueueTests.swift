import Testing

@testable import UringReactor

/// The queue of one connection against a model of it: a list of messages.
@Suite struct SendQueueTests {
    /// What the queue is to hold, and what has become of the rest.
    private struct Model {
        struct Message {
            let number: Int
            let bytes: [UInt8]
            let hasCallback: Bool
            var sent = 0
        }
        var messages: [Message] = []
        var pending: Int { messages.reduce(0) { $0 + $1.bytes.count - $1.sent } }
        var stream: [UInt8] { messages.reduce(into: []) { $0 += $1.bytes[$1.sent...] } }
        var callbacks: [Int] { messages.filter(\.hasCallback).map(\.number) }
    }

    private final class Calls {
        var sent: [Int] = []
        var dropped: [Int] = []
    }

    /// One run of operations at random.
    private struct Fuzz {
        var random: SeededGenerator
        var queue = SendQueue()
        var model = Model()
        var inFlight: (pieces: Int, bytes: Int)?
        var made = 0
        var expectedCalls: [Int] = []
        var appended = 0
        var copied = 0
        let calls = Calls()
        let compacts: Bool

        init(seed: UInt64) {
            random = SeededGenerator(seed: seed)
            compacts = seed % 3 != 0
        }

        private mutating func size() -> Int {
            switch Int.random(in: 0..<20, using: &random) {
            case 0: 16_384
            case 1: 16_383
            case 2: Int.random(in: 1000...40_000, using: &random)
            default: Int.random(in: 1...60, using: &random)
            }
        }

        private func bytes(_ number: Int, _ count: Int) -> [UInt8] {
            var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number &* 37), count: count)
            bytes[0] = UInt8(truncatingIfNeeded: number)
            bytes[count - 1] ^= UInt8(truncatingIfNeeded: number >> 8) ^ 0xa5
            return bytes
        }

        mutating func append() {
            made += 1
            let number = made
            if Int.random(in: 0..<4, using: &random) == 0 {
                let isEmpty = Bool.random(using: &random)
                let content = isEmpty ? [] : bytes(number, size())
                model.messages.append(.init(number: number, bytes: content, hasCallback: true))
                let callback = SendQueue.SendCallback { [calls] result in
                    if case .success = result { calls.sent.append(number) } else { calls.dropped.append(number) }
                }
                queue.append(Bytes(content), callback: callback)
                appended += content.count
            } else {
                let parts = (0..<Int.random(in: 1...4, using: &random)).map { bytes(number &+ $0 &* 7, size()) }
                model.messages.append(.init(number: number, bytes: parts.flatMap { $0 }, hasCallback: false))
                for (place, part) in parts.enumerated() {
                    queue.append(Bytes(part), isMore: place < parts.count - 1)
                    appended += part.count
                }
            }
        }

        /// What the queue holds, in order, and where it lies.
        func contents() -> (stream: [UInt8], places: [UInt]) {
            var copy = queue
            var stream: [UInt8] = []
            var places: [UInt] = []
            var skip = copy.sentOfFirst
            while let piece = copy.popUnsent() {
                stream.append(piece.bytes.dropFirst(skip))
                skip = 0
                places.append(unsafe piece.bytes.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) })
            }
            return (stream, places)
        }

        mutating func offer() {
            guard inFlight == nil, !queue.isEmpty else { return }
            let block = VectorBlock(capacity: Int.random(in: 1...8, using: &random))
            queue.fill(block, piecesBelow: .max)
            inFlight = (block.count, block.offered)
        }

        mutating func complete() throws {
            guard let offered = inFlight else { return }
            inFlight = nil
            let count = Bool.random(using: &random) ? offered.bytes : Int.random(in: 0...offered.bytes, using: &random)
            queue.advance(by: count)
            var rest = count
            while let first = model.messages.first, first.bytes.count - first.sent <= rest {
                // An empty piece behind what was sent has gone with it.
                rest -= first.bytes.count - first.sent
                if first.hasCallback { expectedCalls.append(first.number) }
                model.messages.removeFirst()
            }
            if rest > 0 { model.messages[0].sent += rest }
            while let piece = queue.popSent() { try piece.callback?.body(.success(piece.bytes.count)) }
        }

        mutating func drop() throws {
            let excess = Bool.random(using: &random) ? Int.random(in: 1...100, using: &random) : 50_000
            let before = contents().places
            let pieces = inFlight?.pieces ?? 0
            let dropped = queue.dropOldest(excess, inFlight: pieces)
            #expect(contents().places.prefix(pieces) == before.prefix(pieces), "pieces in flight moved")
            for case let callback? in dropped.pieces.map(\.callback) {
                try callback.body(.failure(IOError(.send, .noBufferSpace)))
            }
            #expect(dropped.pieces.reduce(0) { $0 + $1.bytes.count } == dropped.bytes)
            let stream = contents().stream
            let offered = inFlight?.bytes ?? 0
            // Which messages they were: as many in a row, none begun, and without them the rest is what is left.
            var position = 0
            var first: Int?
            for (place, message) in model.messages.enumerated() {
                defer { position += message.bytes.count - message.sent }
                guard place + dropped.messages <= model.messages.count else { break }
                guard message.sent == 0, position >= offered else { continue }
                var after = model
                let gone = after.messages[place..<(place + dropped.messages)]
                guard gone.reduce(0, { $0 + $1.bytes.count }) == dropped.bytes else { continue }
                let failed = gone.filter(\.hasCallback).map(\.number)
                after.messages.removeSubrange(place..<(place + dropped.messages))
                guard Array(calls.dropped.suffix(failed.count)) == failed, after.stream == stream else { continue }
                first = place
                let isLast = place + dropped.messages == model.messages.count
                if !compacts {
                    let last = gone.last?.bytes.count ?? 0
                    #expect(dropped.bytes - last < excess, "more was dropped than need be")
                }
                #expect(dropped.bytes >= excess || isLast || dropped.messages == 0, "less was dropped than could be")
                model = after
                break
            }
            let isNothing = dropped.messages == 0 && dropped.bytes == 0 && stream == model.stream
            #expect(first != nil || isNothing, "a message was torn")
            // Only begun messages, and those put together with them, may be left of a queue that fell short.
            if dropped.bytes < excess, !compacts {
                var position = 0
                let left = model.messages.filter { message in
                    defer { position += message.bytes.count - message.sent }
                    return message.sent == 0 && !message.bytes.isEmpty && position >= offered
                }
                #expect(left.isEmpty, "less was dropped than could be")
            }
        }

        mutating func compact() {
            guard compacts, inFlight == nil else { return }
            copied += queue.compact()
            #expect(queue.compact() == 0, "what was copied was copied again")
            #expect(copied <= appended)
        }

        func check() {
            #expect(queue.pendingBytes == model.pending)
            #expect(contents().stream == model.stream)
            #expect(calls.sent == expectedCalls)
        }
    }

    @Test(arguments: 0..<30) func agreesWithAListOfMessages(seed: UInt64) throws {
        var fuzz = Fuzz(seed: seed)
        for step in 0..<600 {
            switch Int.random(in: 0..<12, using: &fuzz.random) {
            case 0...4: fuzz.append()
            case 5...7: fuzz.offer()
            case 8...9: try fuzz.complete()
            case 10: try fuzz.drop()
            default: fuzz.compact()
            }
            if step % 10 == 0 { fuzz.check() }
        }
        while !fuzz.queue.isEmpty || fuzz.inFlight != nil {
            fuzz.offer()
            try fuzz.complete()
        }
        fuzz.check()
        #expect(fuzz.queue.pendingBytes == 0)
        // Each callback once: either as sent or as dropped.
        #expect(Set(fuzz.calls.sent).isDisjoint(with: fuzz.calls.dropped))
        #expect(Set(fuzz.calls.dropped).count == fuzz.calls.dropped.count)
    }

    // A begun message of three pieces is finished, though its first piece is gone and nothing of the second has been sent.
    @Test func aMessageBetweenItsPiecesIsBegun() {
        var queue = SendQueue()
        for (place, text) in (["one ", "two ", "three\n"] as [Bytes]).enumerated() { queue.append(text, isMore: place < 2) }
        queue.append("next\n")
        queue.advance(by: 4)
        #expect(queue.popSent()?.bytes == "one ")
        let dropped = queue.dropOldest(.max, inFlight: 0)
        #expect(dropped.pieces.map(\.bytes) == ["next\n"])
        #expect(queue.pendingBytes == 10)
        #expect(queue.dropOldest(.max, inFlight: 0).messages == 0)
    }

    // The answer to a request is no message that a slow peer may miss.
    @Test func whatStaysIsNotDroppedNorCopied() {
        var queue = SendQueue()
        queue.append("OK\n", stays: true)
        for text in ["one\n", "two\n"] as [Bytes] { queue.append(text) }
        #expect(queue.compact() == 8)
        #expect(queue.first.bytes == "OK\n")
        #expect(queue.dropOldest(1, inFlight: 0).messages == 2)
        queue.append("three\n")
        queue.append("BYE\n", stays: true)
        queue.append("four\n")
        #expect(queue.dropOldest(.max, inFlight: 0).pieces.map(\.bytes) == ["three\n"])
        #expect(queue.popUnsent()?.bytes == "OK\n")
        #expect(queue.dropOldest(.max, inFlight: 0).pieces.map(\.bytes) == ["four\n"])
        #expect(queue.popUnsent()?.bytes == "BYE\n")
        #expect(queue.pendingBytes == 0)
    }

    @Test func whatIsCopiedIsOnePieceAndLetsGoOfItsMemory() {
        final class Owner {}
        weak var gone: Owner?
        var queue = SendQueue()
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: 8)
        unsafe memory.initialize(repeating: 7, count: 8)
        defer { unsafe memory.deallocate() }
        do {
            let owner = Owner()
            gone = owner
            for place in 0..<4 {
                queue.append(unsafe Bytes(owner: owner, start: UnsafePointer(memory + 2 * place), count: 2))
            }
        }
        #expect(gone != nil)
        #expect(queue.compact() == 8)
        #expect(gone == nil)
        #expect(queue.count == 1)
        #expect(queue.first.bytes == Bytes([UInt8](repeating: 7, count: 8)))
        // What comes after goes on in the same memory.
        queue.append("more")
        #expect(queue.compact() == 4)
        #expect(queue.count == 1)
        #expect(queue.dropOldest(1, inFlight: 0).messages == 5)
    }

    @Test func largePiecesGoByThemselves() {
        var queue = SendQueue()
        queue.append("small")
        queue.append(Bytes([UInt8](repeating: 1, count: 100)))
        queue.append("behind")
        let block = VectorBlock(capacity: 8)
        queue.fill(block, piecesBelow: 100)
        #expect(block.count == 1 && block.offered == 5)
        queue.fill(block, piecesBelow: 101)
        #expect(block.count == 3)
    }
}
