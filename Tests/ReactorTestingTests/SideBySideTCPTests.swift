import CLiburing
import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// Connections of TCP, in the model and on Linux.
@Suite struct SideBySideTCPTests {
    @Test func greetings() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            let buffer = ring.buffer(32)
            ring.send(1, near, ring.buffer("hello, "))
            log.append("sent \(ring.outcome(1))")
            ring.sendmsg(2, near, [ring.buffer("wor"), ring.buffer(""), ring.buffer("ld")])
            log.append("sent \(ring.outcome(2))")
            ring.receive(3, far, buffer, flags: Int32(MSG_PEEK))
            log.append("peeked \(ring.outcome(3)) \(buffer.text(12))")
            ring.receive(4, far, ring.buffer(4))
            log.append("received \(ring.outcome(4))")
            ring.receive(5, far, buffer)
            log.append("received \(ring.outcome(5)) \(buffer.text(8))")
            ring.receive(6, far, buffer, flags: Int32(MSG_DONTWAIT))
            log.append("would wait \(ring.outcome(6))")
            ring.receive(7, far, ring.buffer(10), flags: Int32(MSG_WAITALL))
            ring.send(8, near, ring.buffer("12345"))
            log.append("waits for all \(ring.outcome(8)) \(ring.isQuiet())")
            ring.send(9, near, ring.buffer("67890"))
            log.append("has all \(ring.outcome(9)) \(ring.outcome(7))")
            let bound = try ring.kernel.localAddress(of: listener)
            log.append("peer is the listener's \(try ring.kernel.remoteAddress(of: near) == bound)")
            log.append("ends agree \(try ring.kernel.remoteAddress(of: far) == ring.kernel.localAddress(of: near))")
            ring.send(10, near, ring.buffer(0))
            log.append("sent nothing \(ring.outcome(10)) \(ring.isQuiet())")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func halfClose() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            ring.receive(1, far, ring.buffer(8))
            ring.enter()
            try ring.kernel.shutdown(near, .sending)
            log.append("end \(ring.outcome(1))")
            ring.poll(2, far, 1)
            log.append("poll \(ring.outcome(2))")
            ring.send(3, near, ring.buffer("x"))
            log.append("send after shutdown \(ring.outcome(3))")
            ring.send(4, far, ring.buffer("back"))
            ring.receive(5, near, ring.buffer(8))
            log.append("the other way \(ring.outcome(4)) \(ring.outcome(5))")
            log.append("peer \(failure { try ring.kernel.remoteAddress(of: far) })")
            ring.receive(6, near, ring.buffer(8))
            ring.enter()
            ring.shutdown(7, far, how: Int(SHUT_WR))
            log.append("both ended \(ring.outcome(7)) \(ring.outcome(6))")
            log.append("shutdown again \(failure { try ring.kernel.shutdown(far, .both) })")
            log.append("peer \(failure { try ring.kernel.remoteAddress(of: far) })")
            ring.poll(8, near, 1 | 4)
            log.append("poll \(ring.outcome(8))")
            ring.send(9, far, ring.buffer("x"))
            ring.receive(10, far, ring.buffer(8))
            log.append("over \(ring.outcome(9)) \(ring.outcome(10))")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func shutdownOfTheReceivingHalf() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            ring.receive(1, far, ring.buffer(8))
            ring.enter()
            try ring.kernel.shutdown(far, .receiving)
            log.append("waiting receive \(ring.outcome(1))")
            ring.send(2, near, ring.buffer("still"))
            log.append("sent \(ring.outcome(2))")
            ring.receive(3, far, ring.buffer(8))
            log.append("received \(ring.outcome(3))")
            ring.receive(4, far, ring.buffer(8))
            log.append("then \(ring.outcome(4))")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func aPeerThatCloses() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            ring.kernel.close(near)
            ring.send(1, far, ring.buffer("first"))
            log.append("first send \(ring.outcome(1))")
            ring.poll(2, far, 1 | 4)
            log.append("poll \(ring.outcome(2))")
            ring.send(3, far, ring.buffer("second"))
            log.append("second send \(ring.outcome(3))")
            ring.send(4, far, ring.buffer("third"))
            log.append("third send \(ring.outcome(4))")
            ring.receive(5, far, ring.buffer(8))
            log.append("receive \(ring.outcome(5))")
            log.append("shutdown \(failure { try ring.kernel.shutdown(far, .both) })")
            for socket in [far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func aPeerThatClosesAndAReceiveFirst() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            ring.send(1, near, ring.buffer("bye"))
            log.append("sent \(ring.outcome(1))")
            ring.kernel.close(near)
            ring.send(2, far, ring.buffer("first"))
            log.append("first send \(ring.outcome(2))")
            for round in UInt64(3)...5 {
                ring.receive(round, far, ring.buffer(8))
                log.append("receive \(ring.outcome(round))")
            }
            ring.send(6, far, ring.buffer("second"))
            log.append("second send \(ring.outcome(6))")
            for socket in [far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func aPeerThatClosesWithUnreadBytes() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            ring.send(1, near, ring.buffer("before"))
            ring.send(2, far, ring.buffer("unread"))
            log.append("sent \(ring.outcome(1)) \(ring.outcome(2))")
            ring.kernel.close(near)
            ring.poll(3, far, 1 | 4)
            log.append("poll \(ring.outcome(3))")
            for round in UInt64(4)...6 {
                ring.receive(round, far, ring.buffer(8))
                log.append("receive \(ring.outcome(round))")
            }
            ring.send(7, far, ring.buffer("x"))
            log.append("send \(ring.outcome(7))")
            log.append("peer \(failure { try ring.kernel.remoteAddress(of: far) })")
            log.append("shutdown \(failure { try ring.kernel.shutdown(far, .both) })")
            for socket in [far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    /// Without an answer to it the peer could not tell a broken-off connection from one that has ended.
    @Test(arguments: [true, false]) func aCloseThatResets(afterShutdown: Bool) throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            ring.send(1, near, ring.buffer("never read"))
            log.append("sent \(ring.outcome(1))")
            if afterShutdown { try ring.kernel.shutdown(near, .both) }
            try ring.kernel.resetWhenClosed(near)
            ring.kernel.close(near)
            ring.receive(2, far, ring.buffer(32))
            log.append("received \(ring.outcome(2))")
            ring.send(3, far, ring.buffer("x"))
            log.append("send \(ring.outcome(3))")
            for socket in [far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func aResetMeetsWaitingOperations() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            ring.send(1, far, ring.buffer("unread"))
            log.append("sent \(ring.outcome(1))")
            ring.receive(2, far, ring.buffer(8))
            ring.enter()
            ring.kernel.close(near)
            log.append("receive \(ring.outcome(2))")
            ring.send(3, far, ring.buffer("x"))
            log.append("send \(ring.outcome(3))")
            let second = try ring.connection()
            ring.send(4, second.far, ring.buffer("unread"))
            log.append("sent \(ring.outcome(4))")
            ring.kernel.close(second.near)
            ring.send(5, second.far, ring.buffer("x"))
            log.append("send \(ring.outcome(5))")
            ring.receive(6, second.far, ring.buffer(8))
            log.append("receive \(ring.outcome(6))")
            for socket in [far, listener, second.far, second.listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func aFullConnection() throws {
        try compare { ring in
            var log: [String] = []
            let small = [(SocketOption.sendBuffer, 8_192), (SocketOption.receiveBuffer, 8_192)]
            let (near, far, listener) = try ring.connection(options: small)
            let block = ring.buffer(1 << 20)
            ring.send(1, near, block)
            let first = ring.result(1)
            log.append("short \(first > 0 && first < 1 << 20)")
            ring.send(2, near, block, flags: Int32(MSG_WAITALL))
            ring.enter()
            let sink = ring.buffer(1 << 16)
            var received = 0
            var rounds: UInt64 = 100
            // Not before all was sent does the send complete.
            while received < Int(first) + (1 << 20) {
                ring.receive(rounds, far, sink)
                let count = ring.result(rounds)
                if count <= 0 { break }
                received += Int(count)
                rounds += 1
            }
            log.append("all arrived \(received == Int(first) + (1 << 20)) \(ring.outcome(2))")
            ring.send(3, near, block, flags: Int32(MSG_WAITALL))
            ring.enter()
            log.append("waits \(ring.isQuiet())")
            ring.cancel(4, target: 3)
            log.append("cancelled \(ring.outcome(4))")
            let partial = ring.result(3)
            log.append("partial \(partial > 0 && partial < 1 << 20)")
            // On a busy machine, what was sent may still be on its way to the peer's buffer, and make room here when it is
            // there.
            var (number, again) = (UInt64(1_000), Int32(1))
            while again > 0, number < 1_100 {
                number += 1
                ring.send(number, near, block, flags: Int32(MSG_DONTWAIT))
                again = ring.result(number)
            }
            log.append("full \(again == -EAGAIN)")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            return log
        }
    }
}
