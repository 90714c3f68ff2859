import CLiburing
import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// Provided buffers, multishot receives, full sockets and zero-copy sends, in the model and on Linux.
@Suite struct SideBySideBufferTests {
    @Test func ringsOfBuffers() throws {
        try compare { ring in
            var log: [String] = []
            let page = TestBuffers(ring, count: 4, size: 8)
            log.append("registered \(failure { try page.register() })")
            log.append("twice \(failure { try page.register() })")
            let odd = TestBuffers(ring, count: 3, size: 8, group: 1)
            log.append("three entries \(failure { try odd.register() })")
            let none = TestBuffers(ring, count: 0, size: 8, group: 1)
            log.append("no entries \(failure { try none.register() })")
            let crooked = TestBuffers(ring, count: 4, size: 8, group: 1, offset: 64)
            log.append("between pages \(failure { try crooked.register() })")
            let most = TestBuffers(ring, count: 32_768, size: 1, group: 2)
            log.append("most entries \(failure { try most.register() })")
            ring.kernel.unregisterBufferRing(group: 0)
            log.append("again \(failure { try page.register() })")
            let (near, far, listener) = try ring.connection()
            ring.receive(1, far)
            log.append("empty \(ring.outcome(1))")
            ring.receive(2, far, group: 9)
            log.append("unknown group \(ring.outcome(2))")
            ring.receive(3, far, multishot: false)
            log.append("empty, single \(ring.outcome(3))")
            page.provide(0..<4)
            ring.receive(4, far, selects: false)
            log.append("without a group \(ring.outcome(4))")
            ring.receive(5, far, flags: Int32(MSG_WAITALL))
            log.append("all of what? \(ring.outcome(5))")
            unsafe ring.queue(6) {
                unsafe $0.pointee = .init()
                unsafe $0.pointee.flags = 1 << 5
            }
            log.append("a nop that selects \(ring.outcome(6))")
            ring.receive(7, FileDescriptor(rawValue: -1))
            log.append("no descriptor \(ring.outcome(7))")
            let waker = try ring.kernel.makeWaker()
            ring.receive(8, waker.descriptor)
            log.append("no socket \(ring.outcome(8))")
            waker.close()
            let fresh = try ring.kernel.socket(.ipv4)
            ring.receive(9, fresh)
            log.append("unconnected \(page.describe(ring.wait(for: 9)))")
            ring.send(10, near, ring.buffer("0123456789"))
            ring.receive(11, far, length: 3, multishot: false)
            log.append("no more than asked for \(ring.outcome(10)) \(page.describe(ring.wait(for: 11)))")
            ring.receive(12, far, length: 100, multishot: false)
            log.append("no more than fits \(page.describe(ring.wait(for: 12)))")
            for socket in [near, far, listener, fresh] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test(arguments: [true, false]) func multishotReceive(overTCP: Bool) throws {
        let path = "/tmp/reactortesting-\(getpid())-3.sock"
        try compare { ring in
            var log: [String] = []
            let buffers = try ring.buffers()
            let (near, far, listener) = try ring.connection(overTCP ? .loopback() : .unix(path: path))
            ring.receive(1, far)
            log.append("quiet \(ring.isQuiet())")
            ring.send(2, near, ring.buffer("hello"))
            log.append("sent \(ring.outcome(2)) \(buffers.describe(ring.wait(for: 1)))")
            ring.send(3, near, ring.buffer("one, two, three"))
            log.append("two buffers \(ring.outcome(3))")
            log.append("\(buffers.describe(ring.wait(for: 1))) \(buffers.describe(ring.wait(for: 1)))")
            buffers.provide(2)
            buffers.provide(0)
            buffers.provide(1)
            ring.send(4, near, ring.buffer("0123456789abcdefghijkl"))
            log.append("in the ring's order \(ring.outcome(4))")
            for _ in 0..<3 { log.append(buffers.describe(ring.wait(for: 1))) }
            ring.send(5, near, ring.buffer("MNOPQRSTUVWXYZ"))
            log.append("the last buffer \(ring.outcome(5))")
            for _ in 0..<2 { log.append(buffers.describe(ring.wait(for: 1))) }
            log.append("over \(ring.isQuiet())")
            buffers.provide(0..<2)
            ring.receive(6, far)
            log.append("what was left \(buffers.describe(ring.wait(for: 6)))")
            try ring.kernel.shutdown(near, .sending)
            log.append("end \(buffers.describe(ring.wait(for: 6)))")
            ring.receive(7, far)
            log.append("end again \(buffers.describe(ring.wait(for: 7)))")
            ring.send(8, far, ring.buffer("x"))
            buffers.provide(2)
            ring.receive(9, near)
            log.append("the other way \(ring.outcome(8)) \(buffers.describe(ring.wait(for: 9)))")
            ring.cancel(10, target: 9)
            log.append("cancelled \(ring.outcome(10)) \(buffers.describe(ring.wait(for: 9)))")
            ring.cancel(11, target: 9)
            log.append("cancelled again \(ring.outcome(11))")
            ring.receive(12, near)
            ring.enter()
            try ring.kernel.shutdown(near, .both)
            log.append("shut down \(buffers.describe(ring.wait(for: 12)))")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            if !overTCP { try ring.kernel.unlink(path) }
            return log
        }
    }

    @Test func aMultishotReceiveThatIsReset() throws {
        try compare { ring in
            var log: [String] = []
            let buffers = try ring.buffers()
            let (near, far, listener) = try ring.connection()
            ring.receive(1, far)
            ring.send(2, far, ring.buffer("unread"))
            ring.send(3, near, ring.buffer("last"))
            log.append("sent \(ring.outcome(2)) \(ring.outcome(3)) \(buffers.describe(ring.wait(for: 1)))")
            ring.kernel.close(near)
            log.append("reset \(buffers.describe(ring.wait(for: 1)))")
            for socket in [far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func aMultishotReceiveLetsOthersGoFirst() throws {
        try compare { ring in
            var log: [String] = []
            _ = try ring.buffers(count: 64, size: 1)
            let (near, far, listener) = try ring.connection()
            ring.send(1, near, ring.buffer(40))
            log.append("sent \(ring.outcome(1))")
            ring.receive(2, far)
            ring.nop(3)
            ring.enter()
            for _ in 0..<4 where ring.ready < 41 { ring.enter(wait: 41, timeout: 500_000_000) }
            // How many at a time is a matter of the version: MULTISHOT_MAX_RETRY came with Linux 6.8.
            log.append("all came, others too \(ring.completions().map(\.userData).sorted())")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func aFullCompletionQueueEndsAMultishotReceive() throws {
        try compare(entries: 8, completions: 8) { ring in
            var log: [String] = []
            let buffers = try ring.buffers()
            let (near, far, listener) = try ring.connection()
            ring.receive(1, far)
            ring.enter()
            for number in UInt64(10)...17 { ring.nop(number) }
            ring.enter()
            ring.send(2, near, ring.buffer("0123456789"))
            ring.enter()
            ring.enter()
            log.append("overflow \(ring.hasOverflow) \(ring.completions().map(\.userData))")
            log.append("sent \(ring.outcome(2)) received \(buffers.describe(ring.wait(for: 1))) \(ring.isQuiet())")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    // MARK: - Full sockets

    @Test(arguments: [true, false]) func sendsThatDoNotWait(overTCP: Bool) throws {
        let path = "/tmp/reactortesting-\(getpid())-4.sock"
        try compare { ring in
            var log: [String] = []
            let small = [(SocketOption.sendBuffer, 8_192), (SocketOption.receiveBuffer, 8_192)]
            let (near, far, listener) = try ring.connection(overTCP ? .loopback() : .unix(path: path), options: small)
            let block = ring.buffer(1 << 20)
            var sent = 0
            log.append("nothing under way \(try ring.kernel.unacknowledgedBytes(of: near))")
            ring.send(1, near, block, flags: Int32(MSG_DONTWAIT) | Int32(MSG_WAITALL))
            let first = ring.result(1)
            log.append("short \(first > 0 && first < 1 << 20)")
            sent += Int(first)
            // Until nothing at all fits.
            var last: Int32 = 1
            var number: UInt64 = 1_000
            while last > 0 {
                ring.send(number, near, block, flags: Int32(MSG_DONTWAIT))
                last = ring.result(number)
                sent += Int(max(0, last))
                number += 1
            }
            log.append("full \(TestRing.name(-last))")
            ring.sendmsg(2, near, [block, block], flags: UInt32(MSG_DONTWAIT))
            log.append("a message \(ring.outcome(2))")
            log.append("under way \(try ring.kernel.unacknowledgedBytes(of: near) > 0)")
            ring.poll(3, near, 4)
            log.append("not writable \(ring.isQuiet())")
            let sink = ring.buffer(1 << 16)
            var received = 0
            number = 2_000
            while received < sent {
                ring.receive(number, far, sink)
                received += Int(max(1, ring.result(number)))
                number += 1
            }
            log.append("writable \(ring.outcome(3)) \(received == sent)")
            ring.send(4, near, ring.buffer("x"), flags: Int32(MSG_DONTWAIT))
            log.append("sent \(ring.outcome(4))")
            ring.receive(5, far, sink)
            log.append("received \(ring.outcome(5)) \(try ring.kernel.unacknowledgedBytes(of: near))")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
            if !overTCP { try ring.kernel.unlink(path) }
            return log
        }
    }

    @Test func bytesUnderWay() throws {
        try compare { ring in
            var log: [String] = []
            let fresh = try ring.kernel.socket(.ipv4)
            log.append("unconnected \(try ring.kernel.unacknowledgedBytes(of: fresh))")
            ring.kernel.close(fresh)
            // Not `fresh`, which may be that of a test beside this one by now.
            let gone = FileDescriptor(rawValue: 1 << 20)
            log.append("not open \(failure { try ring.kernel.unacknowledgedBytes(of: gone) })")
            let (listener, _) = try ring.listener()
            log.append("listening \(failure { try ring.kernel.unacknowledgedBytes(of: listener) })")
            let waker = try ring.kernel.makeWaker()
            log.append("no socket \(failure { try ring.kernel.unacknowledgedBytes(of: waker.descriptor) })")
            waker.close()
            ring.kernel.close(listener)
            return log
        }
    }

    // MARK: - Zero-copy sends

    @Test func zeroCopySends() throws {
        let path = "/tmp/reactortesting-\(getpid())-5.sock"
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            let sink = ring.buffer(64)
            ring.sendZeroCopy(1, near, ring.buffer("hello"))
            ring.receive(2, far, sink)
            log.append("received \(sink.text(ring.result(2))), sent \(ring.zeroCopyOutcome(1))")
            ring.sendZeroCopy(3, far, ring.buffer("world"), flags: Int32(MSG_WAITALL), usage: true)
            ring.receive(4, near, sink)
            log.append("received \(sink.text(ring.result(4))), sent \(ring.zeroCopyOutcome(3))")
            ring.sendZeroCopy(5, FileDescriptor(rawValue: -1), ring.buffer("x"))
            log.append("no descriptor \(ring.zeroCopyOutcome(5))")
            let waker = try ring.kernel.makeWaker()
            ring.sendZeroCopy(6, waker.descriptor, ring.buffer("x"))
            log.append("no socket \(ring.zeroCopyOutcome(6))")
            waker.close()
            let fresh = try ring.kernel.socket(.ipv4)
            ring.sendZeroCopy(7, fresh, ring.buffer("x"), usage: true)
            log.append("unconnected \(ring.zeroCopyOutcome(7))")
            let unix = try ring.connection(.unix(path: path))
            ring.sendZeroCopy(8, unix.near, ring.buffer("x"))
            log.append("Unix \(ring.zeroCopyOutcome(8))")
            unsafe ring.queue(9) {
                unsafe $0.pointee = .init()
                unsafe $0.pointee.opcode = 47
                unsafe $0.pointee.flags = 1 << 6
                unsafe $0.pointee.fd = near.rawValue
            }
            log.append("skipped success \(ring.wait(for: 9).result)")
            try ring.kernel.shutdown(near, .sending)
            ring.sendZeroCopy(10, near, ring.buffer("x"))
            log.append("after shutdown \(ring.zeroCopyOutcome(10)) \(ring.isQuiet())")
            for socket in [near, far, listener, fresh, unix.near, unix.far, unix.listener] { ring.kernel.close(socket) }
            try ring.kernel.unlink(path)
            return log
        }
    }

    @Test func zeroCopySendsThatWait() throws {
        try compare { ring in
            var log: [String] = []
            let small = [(SocketOption.sendBuffer, 8_192), (SocketOption.receiveBuffer, 8_192)]
            let (near, far, listener) = try ring.connection(options: small)
            let block = ring.buffer(1 << 20)
            ring.sendZeroCopy(1, near, block, flags: Int32(MSG_WAITALL))
            log.append("waits \(ring.isQuiet())")
            ring.cancel(2, target: 1)
            let cancelled = ring.outcome(2)
            let partial = ring.wait(for: 1)
            log.append("cancelled \(cancelled) \(partial.result > 0 && partial.result < 1 << 20) \(partial.hasMore)")
            // Part of it lies in the sender's buffer, until the other end has gone.
            ring.kernel.close(far)
            log.append("notified \(ring.wait(for: 1).isNotification) \(ring.isQuiet())")
            for socket in [near, listener] { ring.kernel.close(socket) }
            return log
        }
    }
}
