import Testing
import UringReactor

extension Acceptance {
    /// The sample server where descriptors, or places, run out.
    @Suite struct DescriptorExhaustionTests {
        @Test func aServerWithoutDescriptorsServesThoseItHasAndGoesOn() throws {
            let server = try ServerProcess(["pubsub-server", "--log-level", "error"], descriptors: 80)
            let (subscriber, publisher) = (try PlainClient(to: server.address), try PlainClient(to: server.address))
            try subscriber.send("SUBSCRIBE talk\n")
            try subscriber.expect("OK\r\n")
            try publisher.send("PUBLISH talk\n")
            try publisher.expect("OK\r\n")
            var crowd = try (0..<100).map { _ in try PlainClient(to: server.address) }
            for client in crowd { try client.send("SUBSCRIBE crowd\n") }
            let start = ContinuousClock.now
            _ = try server.nextLine { $0.contains("no descriptor left") }
            for number in 0..<Scale.of(1000, atLeast: 100) {
                try publisher.send("message \(number)\n")
                try subscriber.expect("message \(number)\n")
            }
            // Who came first was accepted first.
            for client in crowd[..<60] {
                try client.expect("OK\r\n")
                client.close()
            }
            crowd.removeFirst(60)
            for client in crowd { try client.expect("OK\r\n") }
            let elapsed = start.duration(to: .now)
            for client in crowd + [publisher, subscriber] { client.close() }
            let output = try server.stop()
            // One report for each episode, the first of which has been read above. A slow machine may have several: the
            // descriptors come back one by one.
            let (ends, beginnings) = (output.ranges(of: "accepting again"), output.ranges(of: "no descriptor left"))
            #expect(ends.count >= 1 && ends.count == beginnings.count + 1)
            // It was tried again after 10 ms, then 20, 40, …, at last every 500; from the beginning in each episode.
            let accepts = try #require(output.firstMatch(of: #/accept ([0-9]+)/#).flatMap { Int($0.1) })
            measured("without descriptors for at most \(elapsed): \(accepts) accepts started")
            #expect(accepts <= 10 * ends.count + 2 * Int(elapsed.components.seconds))
        }

        @Test func whoIsOneTooManyIsToldSo() throws {
            let server = try ServerProcess(["pubsub-server", "--log-level", "error", "--max-connections", "3"])
            let clients = try (0..<3).map { _ in try PlainClient(to: server.address) }
            for client in clients {
                try client.send("SUBSCRIBE room\n")
                try client.expect("OK\r\n")
            }
            let extra = try PlainClient(to: server.address)
            try extra.expect("ERROR too many connections\r\n")
            try extra.expectEnd()
            for client in clients + [extra] { client.close() }
            let output = try server.stop()
            #expect(output.contains("1 connections refused"))
        }
    }
}
