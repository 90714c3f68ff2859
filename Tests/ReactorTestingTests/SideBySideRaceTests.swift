import CLiburing
import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// What comes first: cancellations, closes and what the peer does, in one submission, in the model and on Linux.
@Suite struct SideBySideRaceTests {
    @Test func cancellationsInTheSubmissionOfTheirTarget() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            ring.nop(1)
            ring.cancel(2, target: 1)
            ring.enter()
            log.append("over already \(ring.completions())")
            ring.nop(3)
            ring.enter(reap: false)
            ring.cancel(4, target: 3)
            ring.enter()
            log.append("over, not looked at \(ring.completions())")
            ring.receive(5, near, ring.buffer(8))
            ring.cancel(6, target: 5)
            ring.enter()
            log.append("waits \(ring.completions())")
            ring.cancel(7, target: 8)
            ring.receive(8, near, ring.buffer(8))
            ring.enter()
            log.append("too early \(ring.completions())")
            // The first cancellation wins.
            ring.cancel(9, target: 8)
            ring.cancel(10, target: 8)
            log.append("twice \(ring.outcome(9)) \(ring.outcome(10)) \(ring.outcome(8)) \(ring.isQuiet())")
            ring.receive(14, near, ring.buffer(8))
            ring.poll(15, near, 1)
            ring.enter()
            ring.cancel(16, target: 14)
            ring.cancel(17, descriptor: near, flags: 1)
            ring.cancel(18, target: 0, flags: 4)
            log.append("counted again \(ring.outcome(16)) \(ring.outcome(17)) \(ring.outcome(18))")
            log.append("and once each \(ring.outcome(14)) \(ring.outcome(15)) \(ring.isQuiet())")
            ring.timeout(19, nanoseconds: 3_600_000_000_000)
            ring.enter()
            ring.cancel(20, target: 19)
            ring.cancel(21, target: 19)
            log.append("a timeout is gone \(ring.outcome(20)) \(ring.outcome(21)) \(ring.outcome(19))")
            ring.send(11, far, ring.buffer("hello"))
            ring.receive(12, near, ring.buffer(8))
            ring.cancel(13, target: 12)
            log.append("done at once \(ring.outcome(11)) \(ring.outcome(12)) \(ring.outcome(13))")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    /// The bytes are there before the cancellation, but the receive has not looked yet: it is cancelled, and they stay.
    @Test(arguments: [true, false]) func bytesAndACancellation(multishot: Bool) throws {
        try compare { ring in
            var log: [String] = []
            let buffers = try ring.buffers()
            let (near, far, listener) = try ring.connection()
            ring.receive(1, near, multishot: multishot)
            ring.enter()
            ring.send(2, far, ring.buffer("hello"))
            ring.cancel(3, target: 1)
            log.append("sent \(ring.outcome(2)), cancelled \(ring.outcome(3)) \(buffers.describe(ring.wait(for: 1)))")
            ring.receive(4, near, multishot: false)
            log.append("they stay \(buffers.describe(ring.wait(for: 4))) \(ring.isQuiet())")
            ring.receive(5, near, multishot: multishot)
            ring.enter()
            ring.cancel(6, target: 5)
            ring.send(7, far, ring.buffer("again"))
            log.append("the other order \(ring.outcome(6)) \(ring.outcome(7)) \(buffers.describe(ring.wait(for: 5)))")
            ring.receive(8, near, multishot: false)
            log.append("they stay \(buffers.describe(ring.wait(for: 8)))")
            ring.receive(9, near, multishot: multishot)
            ring.enter()
            ring.shutdown(10, far, how: Int(SHUT_WR))
            _ = ring.wait(for: 10)
            log.append("an end, looked at \(buffers.describe(ring.wait(for: 9)))")
            ring.cancel(11, target: 9)
            log.append("too late \(ring.outcome(11))")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test(arguments: [true, false]) func aConnectionAndACancellation(multishot: Bool) throws {
        try compare { ring in
            var log: [String] = []
            let (listener, address) = try ring.listener()
            let sockets = try (0..<3).map { _ in try ring.kernel.socket(.ipv4) }
            ring.accept(1, listener, multishot: multishot)
            ring.enter()
            ring.connect(2, sockets[0], to: address)
            ring.cancel(3, target: 1)
            log.append("connected \(ring.outcome(2)), cancelled \(ring.outcome(3)) \(ring.outcome(1))")
            // Nobody has lost it.
            ring.accept(4, listener, multishot: multishot)
            let first = ring.wait(for: 4)
            log.append("accepted \(first.result >= 0) \(first.hasMore)")
            ring.connect(5, sockets[1], to: address)
            log.append("connected \(ring.outcome(5))")
            if multishot {
                let second = ring.wait(for: 4)
                log.append("accepted \(second.result >= 0) \(second.hasMore)")
                ring.kernel.close(FileDescriptor(rawValue: second.result))
                ring.cancel(6, descriptor: listener)
                log.append("by descriptor \(ring.outcome(6)) \(ring.outcome(4))")
            } else {
                ring.accept(7, listener)
                ring.cancel(8, target: 7)
                let second = ring.wait(for: 7)
                log.append("one waits: accepted \(second.result >= 0), cancelled \(ring.outcome(8))")
                ring.kernel.close(FileDescriptor(rawValue: second.result))
            }
            ring.cancel(9, descriptor: listener)
            log.append("nothing left \(ring.outcome(9)) \(ring.isQuiet())")
            for socket in sockets + [listener, FileDescriptor(rawValue: first.result)] { ring.kernel.close(socket) }
            return log
        }
    }

    /// The descriptor goes, what it stood for stays until nothing waits for it any more.
    @Test func aCloseUnderAWaitingReceive() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            let buffer = ring.buffer(8)
            ring.receive(1, near, buffer)
            ring.receive(2, far, ring.buffer(8))
            ring.enter()
            ring.close(3, near)
            log.append("closed \(ring.outcome(3)) \(ring.isQuiet())")
            ring.send(5, far, ring.buffer("hello"))
            log.append("sent \(ring.outcome(5)) received \(ring.outcome(1)) \(buffer.text(5))")
            // That was the last who held it.
            log.append("the other end \(ring.outcome(2))")
            let second = try ring.connection()
            ring.receive(6, second.near, ring.buffer(8))
            ring.enter()
            ring.close(7, second.near)
            ring.cancel(8, target: 6)
            log.append("closed, cancelled \(ring.outcome(7)) \(ring.outcome(8)) \(ring.outcome(6))")
            ring.receive(9, second.far, ring.buffer(8))
            log.append("the other end \(ring.outcome(9))")
            for socket in [far, listener, second.far, second.listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test(arguments: [true, false]) func anEndAndACancellation(reset: Bool) throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            ring.receive(1, near, ring.buffer(8))
            ring.enter()
            if reset { try ring.kernel.resetWhenClosed(far) }
            ring.kernel.close(far)
            ring.cancel(2, target: 1)
            log.append("cancelled \(ring.outcome(2)) \(ring.outcome(1))")
            ring.receive(3, near, ring.buffer(8))
            log.append("then \(ring.outcome(3))")
            for socket in [near, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func allIsCancelledAndSomeWasSent() throws {
        try compare { ring in
            var log: [String] = []
            let small = [(SocketOption.sendBuffer, 8_192), (SocketOption.receiveBuffer, 8_192)]
            let (near, far, listener) = try ring.connection(options: small)
            let block = ring.buffer(1 << 20)
            ring.send(1, near, block, flags: Int32(MSG_WAITALL))
            // Only one: which of several gets what room there is, is nobody's to know.
            ring.receive(3, near, ring.buffer(8), flags: Int32(MSG_WAITALL))
            ring.send(4, far, ring.buffer("abc"))
            log.append("sent \(ring.outcome(4)) \(ring.isQuiet())")
            ring.cancel(5, descriptor: near, flags: 1)
            let count = ring.outcome(5)
            let sent = ring.wait(for: 1).result
            log.append("all \(count) partial \(sent > 0 && sent < 1 << 20) \(ring.outcome(3))")
            let sink = ring.buffer(1 << 16)
            var received: Int32 = 0
            var number: UInt64 = 100
            while received < sent {
                ring.receive(number, far, sink)
                let count = ring.result(number)
                if count <= 0 { break }
                received += count
                number += 1
            }
            log.append("what arrives is what was sent \(received == sent)")
            ring.receive(6, far, sink)
            log.append("and no more \(ring.isQuiet())")
            ring.cancel(7, target: 0, flags: 4)
            log.append("any \(ring.outcome(7)) \(ring.outcome(6))")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            return log
        }
    }
}
