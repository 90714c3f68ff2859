import PubSub
import Testing
import UringReactor

@testable import samples

extension Acceptance {
    /// Messages of every length around the ends of receive buffers, however they are cut on the way.
    @Suite struct MessageLengthTests {
        /// Receive buffers, and the lengths that matter for them.
        struct Buffers: Sendable, CustomTestStringConvertible {
            var size: Int
            /// 0: each connection has a buffer of its own.
            var count = ReactorConfiguration().receiveBufferCount
            var lengths: [Int]

            var testDescription: String { "\(count == 0 ? "own" : "shared") buffers of \(size)" }

            /// From two below to two above multiples of `size`, and of the large buffers, which are 16 times as large.
            static func boundaries(of size: Int, multiples: Int) -> [Int] {
                ((1...multiples).map { $0 * size } + [16 * size]).flatMap { $0 - 2...$0 + 2 }
            }

            static let all = [
                Buffers(size: 64, lengths: Array(1...4 * 64 + 2) + boundaries(of: 64, multiples: 17)),
                Buffers(size: 64, count: 0, lengths: Array(1...4 * 64 + 2) + boundaries(of: 64, multiples: 17)),
                Buffers(size: 256, lengths: Array(1...2 * 256 + 2) + boundaries(of: 256, multiples: 17)),
                Buffers(size: 4096, lengths: Array(1...20) + boundaries(of: 4096, multiples: 5)),
                Buffers(size: 4096, count: 0, lengths: Array(1...20) + boundaries(of: 4096, multiples: 5)),
                Buffers(size: 65_536, lengths: Array(1...20) + boundaries(of: 65_536, multiples: 2)),
            ]
        }

        @Test(arguments: Buffers.all)
        func messagesThatComeByThemselvesArriveAsTheyWere(buffers: Buffers) throws {
            let feed = Feed(lengths: buffers.lengths, farewell: Feed.bye)
            try play(feed, buffers, pieces: (0..<feed.count).map { feed[$0] })
        }

        @Test(arguments: Buffers.all)
        func messagesThatAreCutAnywhereArriveAsTheyWere(buffers: Buffers) throws {
            let seed = UInt64.random(in: 0...UInt64.max)
            var generator = SeededGenerator(seed: seed)
            let feed = Feed(lengths: buffers.lengths.shuffled(using: &generator), farewell: Feed.bye)
            var rest = feed[0..<feed.count]
            var pieces: [Bytes] = []
            while !rest.isEmpty {
                // Tiny ones, those about as large as a buffer, and those that fill several.
                let most = [3, buffers.size + 2, 5 * buffers.size].randomElement(using: &generator) ?? 1
                let piece = rest.prefix(Int.random(in: 1...most, using: &generator))
                pieces.append(piece)
                rest = rest.dropFirst(piece.count)
            }
            try play(feed, buffers, pieces: pieces, "seed \(seed)")
        }

        @Test func messagesThatComeByteByByteArriveAsTheyWere() throws {
            let feed = Feed(lengths: Array(1...Scale.of(68, atLeast: 10)), farewell: Feed.bye)
            let all = feed[0..<feed.count]
            let pieces = (0..<all.count).map { all[$0..<$0 + 1] }
            try play(feed, Buffers(size: 64, lengths: []), pieces: pieces)
        }

        /// Sends the pieces, each when the one before has been received, to a subscriber of each style.
        private func play(_ feed: Feed, _ buffers: Buffers, pieces: [Bytes], _ comment: Comment? = nil) throws {
            let reactor = try Reactor.watched {
                $0.receiveBufferSize = buffers.size
                $0.receiveBufferCount = buffers.count
            }
            let service = try PubSubService(
                on: .loopback(), configuration: ServerConfiguration(),
                broker: BrokerConfiguration(onPublisherExit: .bye), reactor: reactor
            ) { _ in }
            let (address, broker) = (service.server.address, service.broker)
            let channel = try ChannelName("lengths")
            var subscribers = [StyleCheck(feed), StyleCheck(feed)]
            func send(_ number: Int, on connection: Connection, receivedBefore: UInt64) {
                guard number < pieces.count else { return connection.send(Command.bye.line).ignore() }
                connection.send(pieces[number])
                let received = receivedBefore + UInt64(pieces[number].count)
                func look() {
                    guard broker.statistics.bytesIn < received else {
                        return send(number + 1, on: connection, receivedBefore: received)
                    }
                    reactor.after(.zero, look)
                }
                look()
            }
            var ready = 0
            func subscribe(_ style: (some ClientStyle).Type, _ number: Int) {
                style.subscribe(
                    to: channel, at: address, on: reactor,
                    onReady: {
                        ready += 1
                        guard ready == subscribers.count else { return }
                        let publisher = TestPublisher(to: channel) {
                            send(0, on: $0, receivedBefore: broker.statistics.bytesIn)
                        }
                        reactor.connect(to: address, handler: publisher)
                    },
                    onMessage: { try subscribers[number].check($0) },
                    onEnd: {
                        guard subscribers[number].end == nil else { return }
                        subscribers[number].end = $0
                        if subscribers.allSatisfy({ $0.end != nil }) { reactor.stop() }
                    })
            }
            subscribe(CallbackStyle.self, 0)
            subscribe(StateMachineStyle.self, 1)
            try reactor.runWatched()
            for subscriber in subscribers {
                #expect(subscriber.count == feed.count, comment)
                #expect(subscriber.end == .finished, comment)
            }
            #expect(broker.statistics.messagesPublished == UInt64(feed.count), comment)
            #expect(broker.statistics.segmentsHeld == 0, comment)
        }
    }
}

/// What a client of the samples has got.
private struct StyleCheck {
    let feed: Feed
    private(set) var count = 0
    var end: ClientEnd?

    init(_ feed: Feed) { self.feed = feed }

    mutating func check(_ message: Bytes) throws {
        guard count < feed.count, message == feed[count] else {
            throw Mismatch(position: count, what: "\(message.count) bytes that are not message \(count)")
        }
        count += 1
    }
}

extension SendOutcome {
    fileprivate func ignore() {}
}
