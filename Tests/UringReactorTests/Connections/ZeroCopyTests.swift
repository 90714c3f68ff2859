import SystemPackage
import Testing

@testable import UringReactor

/// Sends whose bytes the network reads where they are: complete, in order, and let go of in time.
@Suite(.timeLimit(.minutes(20))) struct ZeroCopyTests {
    /// Memory that says whether somebody still has it.
    @safe private final class Source {
        let memory: UnsafeMutableBufferPointer<UInt8>
        static func make(_ bytes: [UInt8]) -> Source { Source(bytes) }
        private init(_ bytes: [UInt8]) {
            unsafe memory = .allocate(capacity: bytes.count)
            _ = unsafe memory.initialize(from: bytes)
        }
        deinit {
            // Who reads it now reads something else.
            unsafe memory.update(repeating: 0xee)
            unsafe memory.deallocate()
        }
        var bytes: Bytes { unsafe Bytes(owner: self, start: UnsafePointer(memory.baseAddress!), count: memory.count) }
    }

    private final class Sources {
        weak var large: Source?
        weak var other: Source?
        var areGone: Bool { large == nil && other == nil }
    }

    // Together they fit into a send buffer of the kernel's default limit, net.core.wmem_max.
    private static let large = content(of: 1, words: 12_000)
    private static let other = content(of: 2, words: 6_000)

    /// Sends large and small pieces in turn, and nobody keeps any of them.
    private func send(_ sources: Sources, on connection: Connection) {
        let (large, other) = (Source.make(Self.large), Source.make(Self.other))
        (sources.large, sources.other) = (large, other)
        connection.send("begin ")
        connection.send(large.bytes)
        connection.send(["small ", other.bytes, "small "])
        connection.send("end")
    }

    private static var expected: [UInt8] {
        Array("begin ".utf8) + large + Array("small ".utf8) + other + Array("small end".utf8)
    }

    @Test(arguments: [false, true], [nil, 4096] as [Int?]) func allArrivesInOrder(isUnix: Bool, sendBuffer: Int?) throws {
        let run = try ReactorRun()
        let file = try isUnix ? TemporaryFile() : nil
        var configuration = ServerConfiguration()
        configuration.connection.zeroCopyThreshold = 1000
        configuration.replacesSocketFile = isUnix
        if let sendBuffer { configuration.socketOptions = [.sendBuffer: sendBuffer] }
        let sources = Sources()
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            self.send(sources, on: connection)
            return .close
        }
        let address = try file.map { try SocketAddress.unix(path: $0.path.string) } ?? .loopback()
        let server = try run.server(on: address, configuration) { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        var received: [UInt8] = []
        let statistics = try run.run {
            while peer.descriptor >= 0, let bytes = peer.receive(waits: false) {
                received += bytes
                if bytes.isEmpty { peer.close() }
            }
            guard script.reason != nil, server.connectionCount == 0 else { return false }
            return run.reactor.connections.zeroCopies.count == 0
        }
        #expect(received == Self.expected)
        #expect(sources.areGone)
        guard run.reactor.capabilities.zeroCopySend else { return }
        // A Unix socket refuses the first; the others are ordinary ones.
        if isUnix { #expect(statistics.zeroCopySends == 1) } else { #expect(statistics.zeroCopySends >= 2) }
    }

    // Far below the threshold nothing is, and above it each piece by itself.
    @Test(arguments: [(nil, 0), (Int.max, 0), (160_001, 1), (160_000, 2), (1, 5)] as [(Int?, UInt64)])
    func onlyFromTheThresholdOn(threshold: Int?, sends: UInt64) throws {
        let run = try ReactorRun()
        var configuration = ServerConfiguration()
        configuration.connection.zeroCopyThreshold = threshold
        configuration.socketOptions = [.sendBuffer: 4 << 20]
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            for piece in ["a", "b"] as [Bytes] { connection.send(piece) }
            for count in [320_000, 160_000] { connection.send(Bytes([UInt8](repeating: 1, count: count))) }
            connection.send("c")
            return .close
        }
        let server = try run.server(configuration) { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        var count = 0
        let statistics = try run.run {
            while peer.descriptor >= 0, let bytes = peer.receive(waits: false) {
                count += bytes.count
                if bytes.isEmpty { peer.close() }
            }
            return script.reason != nil && server.connectionCount == 0 && run.reactor.connections.zeroCopies.count == 0
        }
        #expect(count == 480_003)
        guard run.reactor.capabilities.zeroCopySend else { return }
        // A short send makes one more.
        #expect(statistics.zeroCopySends >= sends && statistics.zeroCopySends <= sends + statistics.shortSends)
    }

    /// How a connection ends whose peer has not taken the bytes.
    enum End: CaseIterable { case abort, peerReset, stopReactor, closeByDeadline }

    // The network may hold the bytes longer than the connection lives; nobody waits for that, and nothing is freed before.
    @Test(arguments: End.allCases) func theConnectionEndsBeforeTheNotification(end: End) throws {
        let kernel = FaultyKernel()
        let run = try ReactorRun(ReactorConfiguration(), kernel: kernel)
        guard run.reactor.capabilities.zeroCopySend else { return run.reactor.stop() }
        var configuration = ServerConfiguration()
        configuration.connection.zeroCopyThreshold = 1000
        configuration.socketOptions = [.sendBuffer: 4 << 20]
        let sources = Sources()
        let script = Script { event, connection in
            switch event {
            case .opened: self.send(sources, on: connection)
            case .timedOut: return .close
            default: break
            }
            return .continue
        }
        let server = try run.server(configuration) { _ in script.handler }
        let peer = try RawPeer(to: server.address, receiveBuffer: 32_768)
        var isAsked = false
        var received: [UInt8] = []
        try run.run {
            guard let connection = script.connection else { return false }
            if !isAsked, connection.pendingBytes == 0 {
                isAsked = true
                #expect(run.reactor.connections.zeroCopies.count > 0)
                #expect(!sources.areGone)
                switch end {
                case .abort: connection.abort()
                case .peerReset: peer.reset()
                case .stopReactor: return true
                case .closeByDeadline: connection.setDeadline(after: .zero)
                }
            }
            if end == .closeByDeadline, isAsked {
                // The linger is over before the peer begins to read.
                if script.reason == nil {
                    kernel.clockOffset += 100_000_000
                } else {
                    while peer.descriptor >= 0, let bytes = peer.receive(waits: false) {
                        received += bytes
                        if bytes.isEmpty { peer.close() }
                    }
                    #expect(peer.lastError != 104, "what was sent was thrown away")
                }
            }
            return script.reason != nil && server.connectionCount == 0 && run.reactor.connections.zeroCopies.count == 0
        }
        switch end {
        case .abort: #expect(script.reason == .aborted)
        case .peerReset: #expect(script.reason == .reset)
        case .stopReactor: #expect(script.reason == .reactorStopped)
        case .closeByDeadline:
            #expect(script.reason == .deadline)
            #expect(received == Self.expected)
        }
        if end != .stopReactor { #expect(sources.areGone) }
    }
}
