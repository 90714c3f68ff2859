import CTestSupport
import PubSub
import Testing
import UringReactor

@testable import samples

extension Acceptance {
    /// What a delivery costs when everybody keeps up: no copy, and in optimized code no allocation.
    @Suite struct CopyAndAllocationTests {
        #if DEBUG
        private static let isOptimized = false
        #else
        private static let isOptimized = true
        #endif

        struct Size: Sendable, CustomTestStringConvertible {
            var subscribers: Int
            var length: Int
            var warmUp: Int
            var messages: Int

            var testDescription: String { "\(subscribers) subscribers, \(length) bytes" }

            static let all = [
                Size(
                    subscribers: Scale.of(100, atLeast: 10), length: 128, warmUp: Scale.of(200, atLeast: 50),
                    messages: Scale.of(200, atLeast: 20)),
                Size(
                    subscribers: Scale.of(100, atLeast: 10), length: 8192, warmUp: Scale.of(100, atLeast: 30),
                    messages: Scale.of(50, atLeast: 10)),
                Size(
                    subscribers: Scale.of(10, atLeast: 3), length: 1 << 20, warmUp: Scale.of(10, atLeast: 4),
                    messages: Scale.of(10, atLeast: 2)),
            ]
        }

        @Test(arguments: Size.all)
        func aDeliveryIsNeitherCopiedNorAllocatedFor(size: Size) throws {
            let reactor = try Reactor.watched()
            let service = try PubSubService(
                on: .loopback(), configuration: ServerConfiguration(), broker: BrokerConfiguration(), reactor: reactor
            ) { _ in }
            let feed = Feed(count: size.warmUp + size.messages, length: size.length)
            let channel = try ChannelName("fast")
            let crowd = Crowd(size.subscribers)
            func copied() -> UInt64 { reactor.statistics.bytesCopied + service.broker.statistics.bytesCopied }
            var before: (copied: UInt64, allocations: UInt64) = (0, 0)
            var spent: (copied: UInt64, allocations: UInt64)?
            var publisher: Connection?
            /// One message after the other, each when all have got the one before.
            var next = 0
            func publishNext() throws {
                if next == size.warmUp { before = (copied(), allocation_count()) }
                if next == feed.count {
                    let allocations = allocation_count() - before.allocations
                    spent = (copied() - before.copied, allocations)
                    return reactor.stop()
                }
                next += 1
                crowd.wait(for: feed.end(of: next))
                publisher?.send(feed[next - 1])
            }
            crowd.whenThere = {
                crowd.whenThere = publishNext
                reactor.connect(
                    to: service.server.address,
                    handler: TestPublisher(to: channel) {
                        publisher = $0
                        try publishNext()
                    })
            }
            crowd.wait(for: feed.end(of: 0))
            for _ in 0..<size.subscribers {
                reactor.connect(
                    to: service.server.address, handler: CheckingSubscriber(to: channel, feed: feed, crowd: crowd))
            }
            try reactor.runWatched()
            let deliveries = service.broker.statistics.deliveries
            #expect(deliveries == UInt64(size.subscribers * feed.count))
            let (copies, allocations) = try #require(spent)
            let counted = size.subscribers * size.messages
            measured("\(size.testDescription): \(copies) bytes copied in \(counted) deliveries, \(before.copied) before")
            #expect(copies == 0)
            // The first long ones come in small buffers, more than may be held, until the connection gets large ones.
            if size.length < 1 << 20 { #expect(before.copied == 0) }
            guard Self.isOptimized, allocation_counter_works() else { return }
            measured("\(size.testDescription): \(allocations) allocations in \(counted) deliveries")
            #expect(allocations == 0)
        }
    }
}
