import SystemPackage
import Testing

@testable import UringReactor

/// What becomes of messages for a peer that does not read: all of them or none of each, in order, and counted.
@Suite(.timeLimit(.minutes(20))) struct SlowConsumerTests {
    /// A line of about a kilobyte.
    private static func line(_ number: Int) -> String {
        "message \(number) " + String(repeating: "x", count: 800 + number % 400)
    }

    /// How a message is handed over: in one piece, with a callback, or in several pieces.
    private final class Sender {
        var outcomes: [SendOutcome] = []
        var sent: [Int] = []
        var failed: [Int: [Errno]] = [:]
        /// Those that have a callback.
        var called: Set<Int> = []

        func send(on connection: Connection) -> SendOutcome {
            let number = outcomes.count
            let text = SlowConsumerTests.line(number)
            let outcome: SendOutcome
            switch number % 3 {
            case 0: outcome = connection.send(Bytes(text + "\n"))
            case 1:
                called.insert(number)
                let before = connection.pendingBytes
                connection.send(Bytes(text + "\n")) { result in
                    switch result {
                    case .success: self.sent.append(number)
                    case .failure(let error): self.failed[number, default: []].append(error.errno)
                    }
                }
                outcome = connection.pendingBytes == before ? .dropped : .queued
            default: outcome = connection.send([Bytes(text.prefix(100)), Bytes(text.dropFirst(100)), "\n"])
            }
            outcomes.append(outcome)
            return outcome
        }
    }

    private struct Result {
        var lines: [String]
        var statistics: Statistics
        var script: Script
    }

    /// Sends a few messages a turn until `isEnough`; then the peer reads all there is, and the connection closes.
    private func serve(
        _ sender: Sender, _ policy: SlowConsumerPolicy, limit: Int = 50_000, isEnough: @escaping (Sender) -> Bool
    ) throws -> Result {
        let run = try ReactorRun()
        var configuration = ServerConfiguration()
        configuration.socketOptions = [.sendBuffer: 4096]
        configuration.connection.maximumPendingBytes = limit
        configuration.connection.slowConsumer = policy
        let script = Script()
        let server = try run.server(configuration) { _ in script.handler }
        let peer = try RawPeer(to: server.address, receiveBuffer: 4096)
        var received: [UInt8] = []
        var reads = false
        func work() {
            if script.reason != nil, server.connectionCount == 0 { return run.reactor.stop() }
            if reads {
                if let bytes = peer.receive(upTo: 20_000, waits: false) {
                    received += bytes
                    if bytes.isEmpty { peer.close() }
                }
            } else if let connection = script.connection {
                for _ in 0..<5 where !reads {
                    _ = sender.send(on: connection)
                    reads = isEnough(sender)
                }
                if reads { connection.close() }
            }
            run.reactor.after(peer.descriptor < 0 ? .milliseconds(1) : .zero, work)
        }
        work()
        let statistics = try run.run()
        #expect(received.last == UInt8(ascii: "\n"))
        let lines = String(decoding: received, as: UTF8.self).split(separator: "\n").map(String.init)
        return Result(lines: lines, statistics: statistics, script: script)
    }

    private func numbers(_ lines: [String]) -> [Int] {
        lines.map { line in
            let number = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? -1
            #expect(line == Self.line(number))
            return number
        }
    }

    /// The failures that the callbacks of these messages are to be told of, one each.
    private func once(_ numbers: some Sequence<Int>, _ sender: Sender) -> [Int: [Errno]] {
        Dictionary(uniqueKeysWithValues: numbers.filter(sender.called.contains).map { ($0, [.noBufferSpace]) })
    }

    @Test func theNewestAreDropped() throws {
        let sender = Sender()
        let result = try serve(sender, .dropNewest) { $0.outcomes.count { $0 == .dropped } >= 100 }
        let kept = sender.outcomes.indices.filter { sender.outcomes[$0] != .dropped }
        let dropped = sender.outcomes.indices.filter { sender.outcomes[$0] == .dropped }
        #expect(numbers(result.lines) == kept)
        #expect(result.statistics.messagesDropped == 100)
        #expect(result.statistics.bytesDropped == UInt64(dropped.reduce(0) { $0 + Self.line($1).count + 1 }))
        #expect(sender.sent == kept.filter(sender.called.contains))
        #expect(sender.failed == once(dropped, sender))
        #expect(result.script.reason == .closed)
        #expect(result.statistics.slowConsumers == 0)
    }

    @Test func theOldestAreDropped() throws {
        let sender = Sender()
        let result = try serve(sender, .dropOldest) { $0.outcomes.count >= 500 }
        let kept = numbers(result.lines)
        let dropped = Set(0..<500).subtracting(kept)
        #expect(kept == kept.sorted() && kept.count == Set(kept).count)
        #expect(!sender.outcomes.contains(.refused))
        #expect(dropped.count > 100)
        // What is left at the end is the newest, without a gap.
        #expect(kept.suffix(40) == Array(460..<500)[...])
        #expect(result.statistics.messagesDropped == UInt64(dropped.count))
        #expect(result.statistics.bytesDropped == UInt64(dropped.reduce(0) { $0 + Self.line($1).count + 1 }))
        #expect(sender.sent == kept.filter(sender.called.contains))
        #expect(sender.failed == once(dropped, sender))
    }

    // One message larger than the limit is taken, and the next ones find it in their way until it is gone.
    @Test func theLimitIsNotOnTheSizeOfAMessage() throws {
        let run = try ReactorRun()
        var configuration = ServerConfiguration()
        configuration.connection.maximumPendingBytes = 10
        configuration.connection.slowConsumer = .dropOldest
        var outcomes: [SendOutcome] = []
        let script = Script { event, connection in
            guard case .opened = event else { return .continue }
            // All before the first byte is sent: each makes room for the next.
            outcomes = ["a message that is too long", "short", "six", "another that is too long"].map { connection.send($0) }
            return .close
        }
        let server = try run.server(configuration) { _ in script.handler }
        let peer = try RawPeer(to: server.address)
        let statistics = try run.run {
            if peer.descriptor >= 0, let bytes = peer.receive(waits: false) {
                #expect(String(decoding: bytes, as: UTF8.self) == (bytes.isEmpty ? "" : "another that is too long"))
                if bytes.isEmpty { peer.close() }
            }
            return script.reason != nil && server.connectionCount == 0
        }
        #expect(outcomes == [.queued, .queued, .queued, .queued])
        #expect(statistics.messagesDropped == 3)
    }

    // The message that was begun, whole, and then the farewell: nothing of the rest.
    @Test func theFarewellComesAfterTheMessageThatWasBegun() throws {
        let sender = Sender()
        let result = try serve(sender, .disconnect(farewell: "too slow\n")) { sender in
            sender.outcomes.contains { $0 == .refused || $0 == .dropped }
        }
        #expect(result.lines.last == "too slow")
        let kept = numbers(result.lines.dropLast())
        #expect(kept == Array(0..<kept.count))
        let total = sender.outcomes.count
        #expect(kept.count < total - 30)
        #expect(result.script.reason == .slowConsumer)
        #expect(result.statistics.slowConsumers == 1)
        #expect(result.statistics.messagesDropped == UInt64(total - 1 - kept.count))
        #expect(sender.sent == kept.filter(sender.called.contains))
        #expect(sender.failed == once(kept.count..<total, sender))
    }

    // To a peer that never reads there is nothing to say; the write timeout ends that.
    @Test(arguments: [nil, "too slow"] as [Bytes?]) func whoNeverReadsIsDisconnected(farewell: Bytes?) throws {
        let kernel = FaultyKernel()
        let run = try ReactorRun(ReactorConfiguration(), kernel: kernel)
        var configuration = ServerConfiguration()
        configuration.socketOptions = [.sendBuffer: 4096]
        configuration.connection.maximumPendingBytes = 100_000
        configuration.connection.slowConsumer = .disconnect(farewell: farewell)
        let script = Script()
        let server = try run.server(configuration) { _ in script.handler }
        let peer = try RawPeer(to: server.address, receiveBuffer: 4096)
        var moves = 0
        let statistics = try run.run {
            if let connection = script.connection, script.reason == nil {
                let outcome = connection.send(Bytes([UInt8](repeating: 1, count: 10_000)))
                // Progress may give it another ten seconds, but not more than once or twice.
                if outcome == .refused, moves < 4 {
                    moves += 1
                    kernel.clockOffset += 11_000_000_000
                }
            }
            return script.reason != nil && server.connectionCount == 0
        }
        #expect(script.reason == .slowConsumer)
        #expect(statistics.slowConsumers == 1)
        #expect(farewell == nil || moves > 0)
        withExtendedLifetime(peer) {}
    }
}
