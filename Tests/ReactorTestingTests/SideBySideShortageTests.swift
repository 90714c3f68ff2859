import CLiburing
import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// What runs short: room in sockets, buffers and descriptors, in the model and on Linux.
@Suite struct SideBySideShortageTests {
    private static let small = [(SocketOption.sendBuffer, 8_192), (SocketOption.receiveBuffer, 8_192)]

    @Test(arguments: [true, false]) func shortSendsBothWays(waitsForAll: Bool) throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection(options: Self.small)
            let flags = waitsForAll ? Int32(MSG_WAITALL) : 0
            let (block, sink) = (ring.buffer(1 << 18), ring.buffer(1 << 16))
            var number: UInt64 = 100
            for (sender, receiver) in [(near, far), (far, near)] {
                // Until one waits.
                var sent = 0
                ring.send(number, sender, block, flags: flags)
                ring.enter()
                while !waitsForAll {
                    let done = ring.completions()
                    guard let first = done.first else { break }
                    sent += Int(first.result)
                    number += 1
                    ring.send(number, sender, block)
                    ring.enter()
                }
                let waiting = number
                log.append("waits \(ring.isQuiet()), some went \(waitsForAll ? sent == 0 : sent > 0)")
                // It goes on when there is room: by a part, or until all is sent.
                var received = 0
                var last: Int32?
                while last == nil || received < sent + Int(last ?? 0) {
                    number += 1
                    ring.receive(number, receiver, sink)
                    let count = ring.result(number)
                    guard count > 0 else { break }
                    received += Int(count)
                    ring.enter()
                    last = last ?? ring.take(waiting)?.result
                }
                log.append("all of it \(last == 1 << 18), and it arrives \(received == sent + Int(last ?? 0))")
                number += 1
            }
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func receivesOfMoreThanComes() throws {
        try compare { ring in
            var log: [String] = []
            let waitAll = Int32(MSG_WAITALL)
            for way in ["end", "close", "reset"] {
                let (near, far, listener) = try ring.connection()
                ring.receive(1, near, ring.buffer(10), flags: waitAll)
                ring.send(2, far, ring.buffer("abc"))
                log.append("sent \(ring.outcome(2)) \(ring.isQuiet())")
                switch way {
                case "end": try ring.kernel.shutdown(far, .sending)
                case "reset":
                    try ring.kernel.resetWhenClosed(far)
                    ring.kernel.close(far)
                default: ring.kernel.close(far)
                }
                log.append("\(way): what has come \(ring.outcome(1))")
                ring.receive(3, near, ring.buffer(10), flags: waitAll)
                log.append("then \(ring.outcome(3))")
                ring.send(4, near, ring.buffer("x"))
                log.append("a send \(ring.outcome(4))")
                for socket in [near, listener] + (way == "end" ? [far] : []) { ring.kernel.close(socket) }
            }
            return log
        }
    }

    @Test func aSendThatIsResetHalfWay() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection(options: Self.small)
            ring.send(1, near, ring.buffer(1 << 20), flags: Int32(MSG_WAITALL))
            ring.enter()
            log.append("waits \(ring.isQuiet())")
            try ring.kernel.resetWhenClosed(far)
            ring.kernel.close(far)
            let sent = ring.result(1)
            log.append("a part \(sent > 0 && sent < 1 << 20)")
            ring.send(2, near, ring.buffer("x"))
            log.append("then \(ring.outcome(2))")
            ring.receive(3, near, ring.buffer(8))
            log.append("received \(ring.outcome(3))")
            for socket in [near, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test(arguments: [true, false]) func twoReceivesAndOneBuffer(multishot: Bool) throws {
        try compare { ring in
            var log: [String] = []
            let buffers = try ring.buffers(count: 1)
            let (first, second) = (try ring.connection(), try ring.connection())
            ring.receive(1, first.far, multishot: multishot)
            ring.receive(2, second.far, multishot: multishot)
            log.append("both wait \(ring.isQuiet())")
            ring.send(3, first.near, ring.buffer("first"))
            log.append("sent \(ring.outcome(3)) \(buffers.describe(ring.wait(for: 1)))")
            ring.send(4, second.near, ring.buffer("second"))
            log.append("sent \(ring.outcome(4)) \(buffers.describe(ring.wait(for: 2)))")
            // Nothing is lost, and nobody is told that there are buffers again.
            buffers.provide(0)
            // Linux 6.1 looks for one for the first receive's next bytes before there are any, and ends it.
            if !multishot { log.append("a buffer \(ring.isQuiet())") }
            ring.receive(5, second.far, multishot: multishot)
            log.append("again \(buffers.describe(ring.wait(for: 5)))")
            // An end needs no buffer, but Linux looks for one first.
            try ring.kernel.shutdown(second.near, .sending)
            if multishot {
                log.append("an end \(buffers.describe(ring.wait(for: 5)))")
            }
            ring.receive(6, second.far, multishot: multishot)
            log.append("an end \(buffers.describe(ring.wait(for: 6)))")
            buffers.provide(0)
            ring.receive(7, second.far, multishot: multishot)
            log.append("an end \(buffers.describe(ring.wait(for: 7)))")
            for socket in [first.near, first.far, first.listener, second.near, second.far, second.listener] {
                ring.kernel.close(socket)
            }
            return log
        }
    }

    /// In a process of its own, for the limit is the process's.
    @Test(arguments: [true, false]) func noDescriptors(multishot: Bool) async throws {
        await #expect(processExitsWith: .success) { [multishot] in
            var limit = unsafe rlimit(rlim_cur: 100, rlim_max: 100)
            try #require(unsafe setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) == 0)
            try compare(descriptors: 100) { ring in
                var log: [String] = []
                let (listener, address) = try ring.listener()
                let (lonely, _) = try ring.listener()
                let sockets = try (0..<2).map { _ in try ring.kernel.socket(.ipv4) }
                ring.accept(1, listener, multishot: multishot)
                ring.enter()
                let fill = ring.exhaust()
                log.append("a socket \(failure { try ring.kernel.socket(.ipv4) })")
                ring.connect(2, sockets[0], to: address)
                log.append("connected \(ring.outcome(2)), none for a waiting accept \(ring.outcome(1))")
                ring.accept(3, listener, multishot: multishot)
                log.append("nor for a new one \(ring.outcome(3))")
                ring.kernel.close(fill[0])
                ring.accept(4, listener, multishot: multishot)
                let accepted = ring.wait(for: 4)
                log.append("one is free: accepted \(accepted.result >= 0) \(accepted.hasMore)")
                ring.connect(5, sockets[1], to: address)
                log.append("connected \(ring.outcome(5))")
                // Linux before 6.10 looks for a descriptor already when nobody is there yet.
                if multishot { log.append("none for the next \(ring.outcome(4))") }
                ring.accept(6, listener)
                log.append("nor for a new one \(ring.outcome(6))")
                ring.accept(7, lonely)
                log.append("even if nobody is there \(ring.outcome(7)) \(ring.isQuiet())")
                for socket in sockets + fill[1...] + [listener, lonely, FileDescriptor(rawValue: accepted.result)] {
                    ring.kernel.close(socket)
                }
                return log
            }
            exit(0)
        }
    }
}

extension TestRing {
    /// Sockets until there are no more, for good: what runs the test may have a descriptor open that it is about to close.
    fileprivate func exhaust() -> [FileDescriptor] {
        var sockets: [FileDescriptor] = []
        var failures = 0
        while failures < 10_000 {
            if let socket = try? kernel.socket(.ipv4) {
                sockets.append(socket)
                failures = 0
            } else {
                failures += 1
                sched_yield()
            }
        }
        return sockets
    }

    /// Its completion, if it has come.
    fileprivate func take(_ userData: UInt64) -> Completion? {
        let found = completions()
        keep(found.filter { $0.userData != userData })
        return found.first { $0.userData == userData }
    }
}
