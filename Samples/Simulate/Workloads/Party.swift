import UringReactor

/// One end of a connection: what it says, what it hears, and how it ends.
class Party: CustomStringConvertible {
    unowned let workload: Workload
    let name: String
    let outgoing: Stream
    private(set) var arrivals = Arrivals()
    /// Sends back what it hears, and nothing of its own.
    var isEchoing = false
    /// The stream's end came, not an error.
    final var sawEnd = false
    /// A send failed. What a receive finds then is called an end, too: an error is reported once.
    var hasFailed: Bool { false }
    /// Everything that it took to send was sent, and then its end.
    final var endedPolitely = false
    /// What it took to send may be dropped, whole, because the far end is slow.
    var dropsLater: Bool { false }

    private struct Kept {
        let slice: Bytes
        let copy: [UInt8]
    }
    private var kept: [Kept] = []

    init(_ workload: Workload, _ name: String) {
        self.workload = workload
        self.name = name
        outgoing = workload.makeStream()
    }

    /// For messages: what is known of it.
    var description: String {
        "\(name) echoes \(isEchoing), heard \(arrivals.messages.count), accepted \(outgoing.accepted)"
    }

    final func fail(_ text: String) { workload.fail("\(name): \(text)") }

    final func heard(_ bytes: Bytes) {
        if bytes.isEmpty { fail("heard nothing") }
        if let fault = arrivals.take(bytes) { fail(fault) }
        // Some slices are kept for a while: nobody else may write to them.
        if workload.chance(0.15) { kept.append(Kept(slice: bytes, copy: Array(bytes))) }
        if workload.chance(0.1) { release() }
    }

    /// Lets go of what was kept, and looks whether it is as it was.
    final func release() {
        for piece in kept where Array(piece.slice) != piece.copy { fail("bytes that were kept have changed") }
        kept = []
    }

    /// Nobody waits for anything any more: ends politely, hears everything.
    func finish() {}

    /// The reactor stops: lets go of what it still has of the connection.
    func leave() {}

    /// What it waits for although nothing can happen any more, or nil.
    func standstill(far: Party?) -> String? { nil }

    /// A message of random size, often small.
    final func nextMessage() -> (number: Int, bytes: [UInt8]) {
        let most = workload.chance(0.05) ? 20_000 : workload.chance(0.3) ? 2_500 : 80
        return outgoing.make(length: workload.number(0...most))
    }

    /// When everything is over.
    final func check(far: Party?) {
        release()
        guard let far else {
            // The ends of a Unix connection have no names: what it heard says who spoke.
            guard let stream = arrivals.stream, let writer = workload.writer(of: stream) else { return }
            let fault = writer.outgoing.fault(of: arrivals.messages, isWhole: false, mayDropLater: true)
            if let fault { fail("\(fault), from \(writer.name)") }
            return
        }
        let writer = far.isEchoing ? outgoing : far.outgoing
        if let stream = arrivals.stream, stream != writer.number {
            return fail("heard stream \(stream) from \(far.name), which said \(writer.number)")
        }
        let isWhole = sawEnd && !hasFailed && far.endedPolitely && (!far.isEchoing || far.sawEnd)
        if isWhole, arrivals.isCut {
            fail("the last message of \(far.name) is cut, though both ended politely\n\(self)\n\(far)")
        }
        let mayDrop = far.dropsLater || far.isEchoing && dropsLater
        let fault = writer.fault(of: arrivals.messages, isWhole: isWhole, mayDropLater: mayDrop)
        if let fault { fail("\(fault), from \(far.name)") }
    }
}
