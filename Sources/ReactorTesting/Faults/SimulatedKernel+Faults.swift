public import SystemPackage

/// What a test has ordered to go wrong, once.
struct OneShots {
    struct Failure {
        let call: SimulatedKernel.Call
        let errno: Errno
    }

    private var failures: [Failure] = []
    private var submitLimits: [UInt32] = []
    private var results: [(opcode: SimulatedKernel.Opcode, errno: Errno)] = []
    private var lengths: [(opcode: SimulatedKernel.Opcode, length: Int)] = []
    private var lostCancels = 0

    mutating func add(_ failure: Failure) { failures.append(failure) }
    mutating func addSubmitLimit(_ limit: UInt32) { submitLimits.append(limit) }
    mutating func addResult(_ opcode: SimulatedKernel.Opcode, _ errno: Errno) { results.append((opcode, errno)) }
    mutating func addLength(_ opcode: SimulatedKernel.Opcode, _ length: Int) { lengths.append((opcode, length)) }
    mutating func addLostCancel() { lostCancels += 1 }

    mutating func takeFailure(of call: SimulatedKernel.Call, unless isExempt: (Errno) -> Bool = { _ in false }) -> Errno? {
        guard let index = failures.firstIndex(where: { $0.call == call && !isExempt($0.errno) }) else { return nil }
        return failures.remove(at: index).errno
    }

    mutating func takeSubmitLimit() -> UInt32? {
        submitLimits.isEmpty ? nil : submitLimits.removeFirst()
    }

    mutating func takeResult(of opcode: SimulatedKernel.Opcode) -> Errno? {
        guard let index = results.firstIndex(where: { $0.opcode == opcode }) else { return nil }
        return results.remove(at: index).errno
    }

    mutating func takeLength(of opcode: SimulatedKernel.Opcode) -> Int? {
        guard let index = lengths.firstIndex(where: { $0.opcode == opcode }) else { return nil }
        return lengths.remove(at: index).length
    }

    mutating func takeLostCancel() -> Bool {
        guard lostCancels > 0 else { return false }
        lostCancels -= 1
        return true
    }
}

extension SimulatedKernel {
    /// A call of the `Kernel` protocol that can be made to fail.
    public enum Call: Sendable, Hashable {
        case open, enable, enter, makeWaker, socket, bind, listen, setOption, localAddress, remoteAddress, shutdown, unlink
        case registerBufferRing, unacknowledgedBytes
    }

    /// The next such call fails.
    ///
    /// For ``Call/enter``, `EINTR` ends the next *wait* (what was submitted counts, as on Linux); any other error comes
    /// before anything is consumed.
    public func failNext(_ call: Call, with errno: Errno) {
        oneShots.add(OneShots.Failure(call: call, errno: errno))
    }

    /// The next enter consumes at most so many submissions.
    public func limitNextSubmit(to count: UInt32) {
        oneShots.addSubmitLimit(count)
    }

    /// The next operation of this kind that is tried, at its submission or because its descriptor became ready, completes
    /// with `errno` and does nothing else. It ends a multishot.
    public func completeNext(_ opcode: Opcode, with errno: Errno) {
        oneShots.addResult(opcode, errno)
    }

    /// The next send, receive, read or write that could do more does only so many bytes.
    public func shortenNext(_ opcode: Opcode, to length: Int) {
        precondition(length > 0, "a short transfer has at least a byte")
        oneShots.addLength(opcode, length)
    }

    /// The next cancellation comes too late: `EALREADY`, and the operation ends by itself.
    public func loseNextCancel() {
        oneShots.addLostCancel()
    }

    /// A connection was made: maybe not for long.
    func drawBreak(of endpoint: Endpoint) {
        guard draw(faults.brokenConnection, "connection will break") else { return }
        let way: Endpoint.Break = [.reset, .timeout, .timeoutAndReset][random.next(in: 0...2)]
        events.schedule(.breakConnection(endpoint, way), at: time + random.next(in: faults.connectionLife))
    }

    /// Whether a fault happens now. Draws nothing for a fault that never happens, so that plans without it are not
    /// disturbed by it.
    func draw(_ probability: Double, _ name: String) -> Bool {
        guard probability > 0, random.nextUnit() < probability else { return false }
        record(.fault(name))
        faultCounts[name, default: 0] += 1
        return true
    }
}
