import PubSub
import Testing
import UringReactor

@testable import samples

extension Acceptance {
    /// Every subscriber gets every message, in order and intact.
    @Suite struct FanOutTests {
        /// What is published, and to how many.
        struct Size: Sendable, CustomTestStringConvertible {
            var channels = 1
            var subscribers: Int
            var messages: Int
            var length: Int

            var testDescription: String { "\(channels) × \(subscribers) subscribers, \(messages) × \(length) bytes" }

            static let all = [
                Size(subscribers: Scale.of(1000, atLeast: 50), messages: 20, length: 128),
                Size(subscribers: Scale.of(1000, atLeast: 50), messages: 6, length: 8192),
                Size(subscribers: Scale.of(20, atLeast: 4), messages: 3, length: 1 << 20),
                Size(channels: Scale.of(50, atLeast: 5), subscribers: 10, messages: 20, length: 1024),
            ]
        }

        @Test(arguments: Size.all, [BatchingPolicy.turn, .threshold(16)])
        func everybodyGetsEverything(size: Size, batching: BatchingPolicy) throws {
            let (statistics, broker) = try play(size, batching: batching)
            #expect(statistics.messagesDropped == 0 && statistics.slowConsumers == 0)
            #expect(broker.bytesOut >= UInt64(size.channels * size.subscribers * size.messages * size.length))
        }

        /// The kernel takes less than it is offered, again and again.
        @Test(arguments: Size.all)
        func nothingIsLostWhenSendsAreShort(size: Size) throws {
            let options: [SocketOption: Int] = [.sendBuffer: 4096, .receiveBuffer: 4096]
            // Far more than the kernel can keep, and less than what is published at full size.
            let messages = max(size.messages, (256 << 10) / size.length)
            let subscribers = size.length < 1024 ? max(10, size.subscribers / 20) : max(4, size.subscribers / 10)
            var size = size
            (size.messages, size.subscribers) = (messages, subscribers)
            if size.length > 1 << 19 { size.messages = 1 }
            let (statistics, _) = try play(size, batching: .turn, socketOptions: options)
            #expect(statistics.shortSends + statistics.stalls > 0)
            #expect(statistics.messagesDropped == 0 && statistics.slowConsumers == 0)
        }

        private func play(
            _ size: Size, batching: BatchingPolicy, socketOptions: [SocketOption: Int] = [:]
        ) throws -> (Statistics, BrokerStatistics) {
            raiseDescriptorLimit()
            let reactor = try Reactor.watched { $0.batching = batching }
            var configuration = ServerConfiguration()
            configuration.socketOptions = socketOptions
            let service = try PubSubService(
                on: .loopback(), configuration: configuration, broker: BrokerConfiguration(onPublisherExit: .bye),
                reactor: reactor
            ) { _ in }
            var channelsLeft = size.channels
            for number in 0..<size.channels {
                let feed = Feed(count: size.messages, length: size.length, channel: number, farewell: Feed.bye)
                let channel = try ChannelName("channel\(number)")
                let crowd = Crowd(size.subscribers)
                crowd.wait(for: feed.end(of: 0)) {
                    crowd.wait(for: feed.bytes.count + 1) {
                        channelsLeft -= 1
                        if channelsLeft == 0 { reactor.stop() }
                    }
                    let publisher = TestPublisher(to: channel) { connection in
                        for number in 0..<feed.count { connection.send(feed[number]) }
                        connection.send(Command.bye.line)
                    }
                    reactor.connect(to: service.server.address, handler: publisher)
                }
                for _ in 0..<size.subscribers {
                    reactor.connect(
                        to: service.server.address, socketOptions: socketOptions,
                        handler: CheckingSubscriber(to: channel, feed: feed, crowd: crowd))
                }
            }
            try reactor.runWatched()
            #expect(channelsLeft == 0)
            let broker = service.broker.statistics
            #expect(broker.messagesPublished == UInt64(size.channels * size.messages))
            #expect(broker.deliveries == UInt64(size.channels * size.messages * size.subscribers))
            return (reactor.statistics, broker)
        }
    }
}
