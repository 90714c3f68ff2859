import ReactorTesting
import SystemPackage
import UringReactor

/// A world in which everything goes wrong that may, and which knows when nothing can happen any more.
final class SimulatedWorld: World {
    let kernel: SimulatedKernel
    let reactor: Reactor
    let receiveBufferSize: Int
    private(set) var failures: [String] = []
    /// How many receive buffers the kernel has when nobody else has any, by group.
    private let provided: [Int]

    /// More than any run needs.
    private static let mostEnters = 100_000
    private static let mostEntersOfEnd = 50_000

    init(seed: UInt64, kernel configuration: SimulatedKernel.Configuration, reactor: ReactorConfiguration) throws {
        kernel = SimulatedKernel(seed: seed, configuration: configuration)
        receiveBufferSize = reactor.receiveBufferSize
        self.reactor = try Reactor(configuration: reactor, kernel: kernel)
        provided = (0...1).map { [kernel] in kernel.providedBuffers(ofGroup: $0).count }
        kernel.enterLimit = SimulatedWorld.mostEnters
        kernel.onViolation = { [unowned self] in
            if failures.count < 5 { failures.append("violation: \($0)\n\(kernel.state)") }
        }
    }

    func now() -> UInt64 { kernel.now() }

    func schedule(after delay: Duration, _ step: @escaping () -> Void) { kernel.schedule(after: delay, step) }

    func connect(to address: SocketAddress) throws -> any FarEnd { SimulatedFarEnd(try kernel.connect(to: address)) }

    func listen(onAccept: @escaping (any FarEnd) -> Void) throws -> SocketAddress {
        listeners += 1
        let address = SocketAddress.loopback(port: 9_000 + listeners)
        kernel.listen(on: address).onAccept = { onAccept(SimulatedFarEnd($0)) }
        return address
    }
    private var listeners: UInt16 = 0

    var timeIsFree: Bool { true }
    var calls: (any Kernel)? { kernel }

    var scratchPath: String? {
        paths += 1
        return "/run/simulated-\(paths)"
    }
    private var paths = 0

    func makeSilentAddress() -> SocketAddress? {
        listeners += 1
        let address = SocketAddress.loopback(port: 9_000 + listeners)
        kernel.silence(address)
        return address
    }

    func run(isStill: @escaping () -> Bool, onStandstill: @escaping () -> Bool) throws {
        kernel.onStall = { _ in onStandstill() ? .lookAgain : .fail }
        try reactor.run()
    }

    func expectEnd() {
        kernel.enterLimit = kernel.enters + SimulatedWorld.mostEntersOfEnd
    }

    var state: String { kernel.state }

    func leftovers() -> [String] {
        var texts: [String] = []
        if kernel.inFlightCount > 0 { texts.append("\(kernel.inFlightCount) operations are left in the kernel") }
        if kernel.openDescriptors > 0 { texts.append("\(kernel.openDescriptors) descriptors are left") }
        return texts
    }

    func connectionLeftovers() -> [String] {
        let receives = kernel.inFlight.filter { $0.opcode == .recv }
        var texts = receives.isEmpty ? [] : ["receives of nobody's are left: \(receives)"]
        // What the network holds for somebody who has vanished may lie in receive buffers.
        guard reactor.statistics.zeroCopySendsInFlight == 0 else { return texts }
        for group in provided.indices {
            let returned = kernel.providedBuffers(ofGroup: UInt16(group)).count
            if returned != provided[group] {
                texts.append("\(returned) of \(provided[group]) buffers of ring \(group) are with the kernel")
            }
        }
        return texts
    }
}

/// A peer of the simulated kernel's.
final class SimulatedFarEnd: FarEnd {
    private let peer: SimulatedPeer

    init(_ peer: SimulatedPeer) {
        self.peer = peer
        peer.onReceive = { [unowned self] peer, bytes in
            _ = peer.takeReceived()
            onReceive?(bytes)
        }
        peer.onEnd = { [unowned self] _ in onEnd?() }
    }

    var onReceive: ((Bytes) -> Void)?
    var onEnd: (() -> Void)?

    var localAddress: SocketAddress { peer.localAddress }
    var remoteAddress: SocketAddress { peer.remoteAddress }
    var isOpen: Bool { peer.state == .open || peer.state == .connecting }
    var sawEnd: Bool { peer.sawEnd && peer.state == .open }
    var hasFailedToSend: Bool { peer.sendFailure != nil }
    var unsent: Int { peer.unsent }

    func send(_ bytes: Bytes) { peer.send(bytes) }
    func shutdown() { peer.shutdown() }
    func close() { peer.close() }
    func reset() { peer.reset() }
    func pauseReading() { peer.pauseReading() }
    func resumeReading() { peer.resumeReading() }
    func read(upTo count: Int) { peer.read(upTo: count) }
}
