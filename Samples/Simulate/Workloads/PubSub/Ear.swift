import UringReactor

/// What a subscriber hears: the messages of one channel, each whole and once, those of one publisher in order.
final class Ear {
    let name: String
    let channel: Int
    /// When it was told that it is a subscriber.
    private(set) var joined: UInt64?
    /// Messages, empty ones too, and their bytes.
    private(set) var lines = 0
    private(set) var bytes = 0
    /// What the server said at the end, if it said why.
    private(set) var farewell: String?
    /// It was there from its joining on, and is still.
    var isFaithful = false
    private unowned let play: PubSubWorkload
    /// Publisher and number of each message, in the order in which they came.
    private var order: [UInt64] = []
    private var lastOf: [Int: Int] = [:]
    private var firstOf: [Int: Int] = [:]
    private var isOver = false
    private var kept: [(slice: Bytes, copy: [UInt8])] = []

    private static let empty = UInt64.max

    init(_ play: PubSubWorkload, _ name: String, channel: Int) {
        (self.play, self.name, self.channel) = (play, name, channel)
    }

    func fail(_ text: String) { play.fail("\(name): \(text)") }

    func join() {
        if joined != nil { fail("was accepted twice") }
        joined = play.world.now()
    }

    /// Nothing may follow.
    func end() { isOver = true }

    /// A line after the `OK`, its ending included.
    func hear(_ line: [UInt8]) {
        if joined == nil { fail("heard a message before it was accepted") }
        if isOver { fail("heard a line after the last one") }
        let content = line.dropLast(line.dropLast().last == 13 ? 2 : 1)
        if content.starts(with: "ERROR ".utf8) {
            farewell = String(decoding: content.dropFirst(6), as: UTF8.self)
            return end()
        }
        lines += 1
        bytes += line.count
        guard !content.isEmpty else { return order.append(Ear.empty) }
        let words = content.split(separator: 32).prefix(3).compactMap { Int(String(decoding: $0, as: UTF8.self)) }
        guard words.count == 3, line == Voice.line(words[0], words[1], words[2]) else {
            return fail("heard a damaged line: \(String(decoding: line.prefix(60), as: UTF8.self))")
        }
        note(words[0], words[1])
    }

    private func note(_ publisher: Int, _ message: Int) {
        let voice = play.voices[publisher]
        if voice.channel != channel { fail("heard a message of channel \(voice.channel)") }
        if message >= voice.said { fail("heard a message that was not said yet") }
        if let last = lastOf[publisher] {
            let isNext = play.plan.drops ? message > last : message == last + 1
            if !isNext { fail("heard message \(message) of publisher \(publisher) after \(last)") }
        } else {
            firstOf[publisher] = message
        }
        lastOf[publisher] = message
        order.append(UInt64(publisher) << 32 | UInt64(message))
    }

    /// Slices are kept for a while: nobody else may write to them.
    func keep(_ slice: Bytes, _ copy: [UInt8]) {
        if play.chance(0.1) { kept.append((slice, copy)) }
        if play.chance(0.05) { release() }
    }

    func release() {
        for piece in kept where Array(piece.slice) != piece.copy { fail("bytes that were kept have changed") }
        kept = []
    }

    // MARK: - What it must have heard

    /// Whatever came after it had joined; if it is faithful, all of that.
    func check(_ voice: Voice) {
        guard let joined, voice.channel == channel, !play.plan.drops, !voice.isRefused else { return }
        let since = voice.firstSince(joined)
        if let first = firstOf[voice.number], let since, first > since {
            fail("heard message \(first) of publisher \(voice.number) first, not \(since)")
        }
        guard isFaithful, voice.isDone, let since else { return }
        let last = lastOf[voice.number] ?? -1
        if last < voice.said - 1 { fail("heard of publisher \(voice.number) up to \(last), not \(since)…\(voice.said - 1)") }
    }

    /// All subscribers of a channel hear one order. Finds out by the first message of `other` that this one heard too.
    func checkOrder(_ other: Ear) {
        guard channel == other.channel, !play.plan.drops else { return }
        guard let there = other.order.firstIndex(where: { $0 != Ear.empty }),
            let here = order.firstIndex(of: other.order[there])
        else { return }
        let before = min(here, there)
        let after = min(order.count - here, other.order.count - there)
        if order[(here - before)..<(here + after)] != other.order[(there - before)..<(there + after)] {
            fail("heard another order than \(other.name)")
        }
        if isFaithful, other.isFaithful, order.count - here != other.order.count - there {
            fail("heard \(order.count - here) messages where \(other.name) heard \(other.order.count - there)")
        }
    }
}
