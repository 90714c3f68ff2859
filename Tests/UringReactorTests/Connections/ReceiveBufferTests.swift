import SystemPackage
import Testing

@testable import UringReactor

/// Receives with far fewer buffers than connections: nothing is lost, nobody is left out, and nobody can hold the ring.
@Suite(.timeLimit(.minutes(20))) struct ReceiveBufferTests {
    enum Style: CaseIterable { case handler, callbacks }

    struct Way: CustomTestStringConvertible {
        var buffers = 2
        var policy = ReceivePolicy.adaptive
        var style = Style.handler
        var isUnix = false
        /// What the kernel can, or how many rings of buffers it takes.
        var multishot = true
        var rings = Int.max

        var testDescription: String {
            let family = isUnix ? "unix" : "TCP"
            return "\(buffers) buffers, \(policy), \(style), \(family), \(multishot ? rings : 0) rings"
        }

        static var all: [Way] {
            var ways: [Way] = []
            for style in Style.allCases {
                for isUnix in [false, true] {
                    for buffers in [0, 1, 2, 4, 8] { ways.append(Way(buffers: buffers, style: style, isUnix: isUnix)) }
                    for policy in [ReceivePolicy.multishot, .singleShot] {
                        ways.append(Way(policy: policy, style: style, isUnix: isUnix))
                    }
                    ways.append(Way(style: style, isUnix: isUnix, multishot: false))
                    ways.append(Way(style: style, isUnix: isUnix, rings: 0))
                    ways.append(Way(style: style, isUnix: isUnix, rings: 1))
                }
            }
            return ways
        }
    }

    private func makeRun(_ way: Way, size: Int = 256) throws -> (ReactorRun, FaultyKernel) {
        let kernel = FaultyKernel()
        kernel.bufferRingsTaken = way.rings
        if !way.multishot { kernel.overridden = Capabilities(multishotTimeout: true) }
        var configuration = ReactorConfiguration()
        configuration.receiveBufferCount = way.buffers
        configuration.receiveBufferSize = size
        return (try ReactorRun(configuration, kernel: kernel), kernel)
    }

    private func address(_ way: Way) throws -> (SocketAddress, TemporaryFile?) {
        guard way.isUnix else { return (.loopback(), nil) }
        let file = try TemporaryFile()
        return (try .unix(path: file.path.string), file)
    }

    private func server(_ way: Way, _ run: ReactorRun, _ address: SocketAddress, _ receipts: Receipts) throws -> Server {
        var configuration = ServerConfiguration()
        configuration.connection.receiving = way.policy
        configuration.replacesSocketFile = way.isUnix
        guard way.style == .callbacks else {
            return try run.server(on: address, configuration) { _ in receipts.handler() }
        }
        return try Server(on: address, configuration: configuration, reactor: run.reactor) { receipts.receive(from: $0) }
    }

    // All that the peers send is there before the first receive is.
    @Test(arguments: Way.all) func everyByteOnceAndInOrder(way: Way) throws {
        let (run, _) = try makeRun(way)
        let (address, file) = try address(way)
        let receipts = Receipts()
        let server = try server(way, run, address, receipts)
        let peers = try (0..<20).map { _ in try RawPeer(to: server.address) }
        for (number, peer) in peers.enumerated() {
            peer.send(content(of: number, words: 1000 + number))
            peer.shutdownSending()
        }
        let statistics = try run.run { receipts.ended == 20 && server.connectionCount == 0 }
        for number in 0..<20 { #expect(receipts.all[number] == content(of: number, words: 1000 + number)) }
        #expect(statistics.receiveBuffersInUse == 0)
        let hasRings = way.multishot && way.buffers > 0 && way.rings == .max
        #expect((run.reactor.core.rings != nil) == hasRings)
        if hasRings, way.buffers <= 2 { #expect(statistics.receivesWithoutBuffer > 0) }
        if hasRings { #expect(statistics.receiveBuffersHighWaterMark > 0) }
        withExtendedLifetime(file) {}
    }

    // One has a thousand buffers' worth to read, the others one each. That they waited must not mean that it is first done.
    @Test(arguments: [ReceivePolicy.multishot, .adaptive, .singleShot]) func aGreedyPeerDoesNotKeepOthersWaiting(
        policy: ReceivePolicy
    ) throws {
        let way = Way(policy: policy)
        let (run, _) = try makeRun(way, size: 64)
        let receipts = Receipts()
        let server = try server(way, run, .loopback(), receipts)
        let greedy = try RawPeer(to: server.address)
        greedy.send(content(of: 0, words: 8000))
        greedy.shutdownSending()
        let others = try (1...10).map { _ in try RawPeer(to: server.address) }
        for (place, peer) in others.enumerated() {
            peer.send(content(of: place + 1, words: 8))
            peer.shutdownSending()
        }
        let statistics = try run.run { receipts.ended == 11 && server.connectionCount == 0 }
        #expect(receipts.all[0] == content(of: 0, words: 8000))
        let lastOfOthers = receipts.order.lastIndex { $0 != 0 } ?? .max
        let greedyBefore = receipts.order.prefix(lastOfOthers).count { $0 == 0 }
        let greedyInAll = receipts.order.count { $0 == 0 }
        #expect(greedyBefore * 4 <= greedyInAll, "\(greedyBefore) of \(greedyInAll)")
        #expect(statistics.receiveBuffersInUse == 0)
    }

    // Of connections that all wait for a buffer none gets its third before another has its first.
    @Test func buffersGoToThoseWhoWaitedLongest() throws {
        let way = Way(policy: .singleShot)
        let (run, _) = try makeRun(way, size: 64)
        let receipts = Receipts()
        let server = try server(way, run, .loopback(), receipts)
        let peers = try (0..<8).map { _ in try RawPeer(to: server.address) }
        for (number, peer) in peers.enumerated() {
            peer.send(content(of: number, words: 24))
            peer.shutdownSending()
        }
        let statistics = try run.run { receipts.ended == 8 && server.connectionCount == 0 }
        #expect(statistics.receivesWithoutBuffer > 0)
        for (place, number) in receipts.order.enumerated() {
            let before = receipts.order.prefix(place).count { $0 == number }
            let least = (0..<8).map { other in receipts.order.prefix(place).count { $0 == other } }.min() ?? 0
            #expect(before - least <= 2, "event \(place) of \(receipts.order)")
        }
    }

    // With one buffer and receives that are started by need: when who was fed has nothing to receive, the next must not wait
    // for it.
    @Test func whoWaitsIsNotForgottenBehindWhoHasNothing() throws {
        let (run, _) = try makeRun(Way(buffers: 1))
        let (first, second) = (Box<RawPeer>(), Box<RawPeer>())
        var (received, connections) = (0, 0)
        let server = try Server(on: .loopback(), reactor: run.reactor) { connection in
            connections += 1
            func next() {
                connection.receive { result in
                    guard try result.get() != nil else { return connection.close() }
                    received += 1
                    // Both have had their first bytes; one of them goes on, the other is silent.
                    if received == 2 { second.value?.send("again") }
                    if received == 3 { run.reactor.stop() }
                    next()
                }
            }
            next()
        }
        first.value = try RawPeer(to: server.address)
        second.value = try RawPeer(to: server.address)
        first.value?.send("first")
        second.value?.send("second")
        let statistics = try run.run()
        #expect(connections == 2 && received == 3)
        #expect(statistics.receivesWithoutBuffer > 0)
    }

    // What one handler keeps, it keeps for good, and as it was; with it all go on.
    @Test(arguments: [1, 2, 4, 8, 64], Style.allCases) func whoKeepsAllItGetsStopsNobody(buffers: Int, style: Style) throws {
        var kept: [Int: [Bytes]] = [:]
        do {
            let (run, _) = try makeRun(Way(buffers: buffers))
            let receipts = Receipts()
            var most = 0
            func keep(_ bytes: Bytes, _ connection: Connection) {
                kept[Int(connection.slot), default: []].append(bytes)
                most = max(most, run.reactor.statistics.receiveBuffersInUse)
            }
            let server: Server
            if style == .handler {
                server = try run.server { _ in receipts.handler(keep) }
            } else {
                server = try Server(on: .loopback(), reactor: run.reactor) { connection in
                    var soFar: [UInt8] = []
                    func next() {
                        connection.receive { result in
                            guard let bytes = try result.get() else {
                                receipts.noteEnd(soFar)
                                return connection.close()
                            }
                            receipts.note(bytes, &soFar)
                            keep(bytes, connection)
                            next()
                        }
                    }
                    next()
                }
            }
            let peers = try (0..<6).map { _ in try RawPeer(to: server.address) }
            for (number, peer) in peers.enumerated() {
                peer.send(content(of: number, words: 2000))
                peer.shutdownSending()
            }
            let statistics = try run.run { receipts.ended == 6 && server.connectionCount == 0 }
            // With many small buffers the callbacks move to large ones before, and those are not copied.
            #expect(statistics.bytesCopied > 0 || statistics.receiveBufferAllocations > 0)
            #expect(statistics.receiveBuffersInUse <= buffers - max(1, buffers / 8))
            // One is with the handler while it is copied.
            #expect(most <= buffers - max(1, buffers / 8) + 1)
        }
        // The reactor is gone.
        #expect(kept.count == 6)
        let whole = kept.values.map { pieces in pieces.reduce(into: [UInt8]()) { $0.append($1) } }
        #expect(Set(whole) == Set((0..<6).map { content(of: $0, words: 2000) }))
    }

    // Buffers that another thread lets go of, one by one, while nothing happens on the reactor's: with the ring at its last
    // eighth, what comes next is received all the same.
    @Test func noticesWhatWasDroppedElsewhere() throws {
        let (run, _) = try makeRun(Way(buffers: 64))
        let receipts = Receipts()
        let kept = Box<[Bytes]>()
        kept.value = []
        let server = try run.server { _ in receipts.handler { bytes, _ in kept.value?.append(bytes) } }
        let peer = try RawPeer(to: server.address)
        peer.send(content(of: 1, words: 8000))
        var inUse: Int?
        let statistics = try run.run {
            if inUse == nil, run.reactor.statistics.bytesReceived == 64_000 {
                inUse = run.reactor.statistics.receiveBuffersInUse
                let carried = Carried(kept)
                TestThread { carried.value.value = nil }.join()
                peer.shutdownSending()
            }
            return receipts.ended == 1 && server.connectionCount == 0
        }
        #expect(inUse == 56)
        #expect(statistics.receiveBuffersInUse == 0)
        #expect(receipts.all[1] == content(of: 1, words: 8000))
    }
}
