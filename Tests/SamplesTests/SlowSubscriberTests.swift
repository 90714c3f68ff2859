import Glibc
import PubSub
import Testing
import UringReactor

@testable import samples

extension Acceptance {
    /// One subscriber that never reads, until the end, takes neither messages from the others nor memory from the server.
    @Suite struct SlowSubscriberTests {
        private static let farewell: Bytes = "ERROR slow consumer\r\n"

        private func server(_ choice: SlowConsumerChoice, limit: Int, _ more: [String] = []) throws -> ServerProcess {
            try ServerProcess(
                [
                    "pubsub-server", "--slow-consumer", choice.rawValue, "--max-pending", "\(limit)",
                    "--write-timeout", "0", "--on-publisher-exit", "bye",
                    "--log-level", choice == .pausePublisher ? "debug" : "error",
                ] + more)
        }

        /// The slow one gets what its policy leaves it, whole and in order; the others compare all they get themselves.
        private func verify(_ play: SlowPlay) throws {
            switch play.choice {
            case .disconnect:
                let numbers = try play.numbersReceived(dropping: Self.farewell)
                #expect(numbers == Array(0..<numbers.count) && numbers.count < play.messages)
            case .dropNewest, .dropOldest:
                let numbers = try play.numbersReceived()
                #expect(Set(numbers).intersection(0..<play.messages).count < play.messages)
                if play.choice == .dropOldest { #expect(numbers.contains(play.messages - 1)) }
                if play.choice == .dropNewest { #expect(!numbers.contains(play.messages - 1)) }
                #expect(numbers.contains(0))
            case .pausePublisher:
                #expect(try play.numbersReceived(dropping: Feed.bye) == Array(0..<play.messages))
            }
        }

        @Test(arguments: SlowConsumerChoice.allCases)
        func theOthersLoseNothing(choice: SlowConsumerChoice) throws {
            // The kernel takes some 2.6 MiB by itself.
            let server = try server(choice, limit: 1 << 20)
            let play = try SlowPlay(
                choice, server: server, others: Scale.of(99, atLeast: 9), messages: 96, length: 1 << 16, window: 4)
            try play.run()
            try verify(play)
            _ = try server.stop()
        }

        @Test(.enabled(if: memoryIsMeasurable), arguments: SlowConsumerChoice.allCases)
        func memoryStaysWithinWhatIsConfigured(choice: SlowConsumerChoice) throws {
            let (limit, buffers, window, total) = (1 << 20, 64, 4 << 16, 48 << 20)
            let server = try server(choice, limit: limit, ["--receive-buffers", "\(buffers)"])
            let play = try SlowPlay(
                choice, server: server, others: 3, messages: total >> 16, length: 1 << 16, window: window >> 16)
            try play.run()
            try verify(play)
            // The receive buffers, small and large; what waits, in memory that may be twice as large; what is on its way.
            let rings = buffers * 4096 + buffers / 8 * 65_536
            expectMemory(of: play, "\(total >> 20) MiB", within: rings + 2 * limit + 2 * window + Self.allowance)
            _ = try server.stop()
        }

        /// What each costs beside its two bytes must not add up. Over Unix sockets, of which the kernel itself keeps little.
        @Test(.enabled(if: memoryIsMeasurable), arguments: [SlowConsumerChoice.disconnect, .dropNewest, .dropOldest])
        func memoryStaysWithinWhatIsConfiguredForTinyMessages(choice: SlowConsumerChoice) throws {
            let (limit, buffers) = (1 << 13, 64)
            let path = "/tmp/uring-reactor-slow-\(getpid())-\(choice.rawValue)"
            unsafe unlink(path)
            let server = try server(choice, limit: limit, ["--receive-buffers", "\(buffers)", "--unix", path])
            // Those that wait, those that the kernel keeps, and more.
            let messages = Scale.of(limit, atLeast: limit / 2 + 1000)
            let play = try SlowPlay(
                choice, server: server, address: .unix(path: path), others: 3, messages: messages, length: 2, window: 1)
            try play.run()
            _ = try play.numbersReceived(dropping: choice == .disconnect ? Self.farewell : Bytes())
            let rings = buffers * 4096 + buffers / 8 * 65_536
            expectMemory(of: play, "\(messages) × 2 bytes", within: rings + 2 * limit + Self.allowance)
            _ = try server.stop()
        }

        /// The allocator's, and what a server needs once it does something.
        private static let allowance = 2 << 20

        private func expectMemory(of play: SlowPlay, _ what: String, within bound: Int) {
            let growth = play.end.peak - play.before.resident
            measured(
                """
                \(what) past a subscriber that does not read, \(play.choice.rawValue): memory of the server grew by at most \
                \(growth >> 10) KiB from \(play.before.resident >> 10) KiB; expected at most \(bound >> 10) KiB
                """)
            if memoryIsMeasurable { #expect(growth <= bound) }
        }
    }
}
