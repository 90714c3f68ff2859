import Testing
import UringReactor

@testable import samples

extension Acceptance {
    /// A connection on which nothing happens costs the server next to nothing.
    @Suite struct IdleMemoryTests {
        private static let expectedAtMost = 1024

        @Test func anIdleConnectionOfTheEchoServerTakesUpToAKibibyte() throws {
            let server = try ServerProcess(["echo-server"])
            try measure(server, "echo-server", says: "x", hears: "x")
        }

        @Test func anIdleSubscriberTakesUpToAKibibyte() throws {
            let server = try ServerProcess(["pubsub-server", "--log-level", "error"])
            try measure(server, "pubsub-server, subscribers", says: "SUBSCRIBE idle\n", hears: "OK\r\n")
        }

        private func measure(_ server: ServerProcess, _ name: String, says: String, hears: String) throws {
            raiseDescriptorLimit()
            let wanted = Scale.of(10_000, atLeast: 2000)
            let count = min(wanted, availableDescriptors())
            if count < wanted { print("only \(count) connections: the limit of descriptors (ulimit -Hn) allows no more") }
            var clients: [PlainClient] = []
            defer { for client in clients { client.reset() } }
            func connect(_ count: Int) throws {
                let first = clients.count
                for _ in 0..<count { clients.append(try PlainClient(to: server.address)) }
                for client in clients[first...] { try client.send(says) }
                for client in clients[first...] { try client.expect(hears) }
            }
            // What is allocated once is, and every receive buffer has been used, of which there are 512.
            let warmUp = min(600, count / 2)
            try connect(warmUp)
            let before = try server.memory().anonymous
            while clients.count < count { try connect(min(500, count - clients.count)) }
            let each = (try server.memory().anonymous - before) / (count - warmUp)
            measured("\(name): \(each) bytes of memory for each of \(count) idle connections")
            if memoryIsMeasurable { #expect(each <= Self.expectedAtMost) }
        }
    }
}
