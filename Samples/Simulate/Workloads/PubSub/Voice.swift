import UringReactor

/// What a publisher says to its channel: numbered messages, and now and then an empty one.
final class Voice {
    let number: Int
    let channel: Int
    /// Numbered messages so far.
    private(set) var said = 0
    private(set) var empties = 0
    /// When each numbered message was sent.
    private var times: [UInt64] = []
    /// All that it said has reached the broker.
    var isDone = false
    /// The broker has not taken it for a publisher.
    var isRefused = false
    /// It ended within a message.
    var isCut = false

    init(number: Int, channel: Int) {
        (self.number, self.channel) = (number, channel)
    }

    func next(length: Int, at time: UInt64) -> [UInt8] {
        defer { said += 1 }
        times.append(time)
        return Voice.line(number, said, length)
    }

    func nextEmpty() -> [UInt8] {
        empties += 1
        return [10]
    }

    /// The first message that was sent after `time`.
    func firstSince(_ time: UInt64) -> Int? { times.firstIndex { $0 > time } }

    static func line(_ publisher: Int, _ message: Int, _ length: Int) -> [UInt8] {
        var line = Array("\(publisher) \(message) \(length) ".utf8)
        line.reserveCapacity(line.count + length + 2)
        for place in 0..<length { line.append(33 + Stream.byte(publisher, message, place) % 90) }
        return line + ((publisher + message) % 3 == 0 ? [13, 10] : [10])
    }
}
