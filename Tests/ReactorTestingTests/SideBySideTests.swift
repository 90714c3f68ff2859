import CLiburing
import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// Timers, cancellation, refusals, polls and Unix sockets, in the model and on Linux.
@Suite struct SideBySideTests {
    // MARK: - Timers and cancellation

    @Test func timeouts() throws {
        try compare { ring in
            var log: [String] = []
            ring.nop(1)
            log.append("nop \(ring.outcome(1))")
            ring.timeout(2, nanoseconds: 1_000)
            log.append("timeout \(ring.outcome(2))")
            ring.timeout(3, nanoseconds: 3_600_000_000_000, count: 2)
            ring.nop(4)
            ring.nop(5)
            log.append("counted timeout \(ring.outcome(3))")
            ring.timeout(6, nanoseconds: 3_600_000_000_000)
            ring.removeTimeout(7, target: 6)
            ring.enter()
            ring.enter(wait: 1, timeout: 1_000_000)
            log.append("removed \(ring.completions())")
            ring.removeTimeout(8, target: 6)
            log.append("remove again \(ring.outcome(8))")
            ring.timeout(9, nanoseconds: -1)
            log.append("negative \(ring.outcome(9))")
            ring.timeout(10, nanoseconds: 1_000, flags: 1 << 6 | 1)
            log.append("absolute multishot \(ring.outcome(10))")
            ring.timeout(11, nanoseconds: 1_000, count: 3, flags: 1 << 6)
            log.append("multishot \(ring.outcome(11)), \(ring.outcome(11)), \(ring.outcome(11)), \(ring.isQuiet())")
            log.append("wait \(ring.enter(wait: 1, timeout: 1_000))")
            ring.nop(12)
            log.append("wait for two \(ring.enter(wait: 2, timeout: 1_000)) \(ring.completions())")
            ring.nop(13)
            ring.enter()
            log.append("wait with one ready \(ring.enter(wait: 2, timeout: 1_000)) \(ring.completions())")
            return log
        }
    }

    @Test func cancellation() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            ring.receive(1, near, ring.buffer(8))
            ring.enter()
            ring.cancel(2, target: 1)
            ring.enter()
            log.append("found, in order \(ring.completions())")
            ring.cancel(3, target: 1)
            log.append("not found \(ring.outcome(3))")
            ring.receive(4, near, ring.buffer(8))
            ring.poll(5, near, 1)
            ring.receive(6, far, ring.buffer(8))
            ring.timeout(7, nanoseconds: 3_600_000_000_000)
            ring.enter()
            ring.cancel(8, descriptor: near, flags: 1)
            log.append("by descriptor, all \(ring.outcome(8)) \(ring.outcome(4)) \(ring.outcome(5)) \(ring.isQuiet())")
            ring.cancel(9, descriptor: near, flags: 1)
            log.append("by descriptor, none left \(ring.outcome(9))")
            ring.cancel(10, descriptor: near)
            log.append("by descriptor, one \(ring.outcome(10))")
            ring.cancel(11, target: 0, flags: 4)
            log.append("any \(ring.outcome(11)) \(ring.outcome(6)) \(ring.outcome(7))")
            ring.cancel(12, target: 0, flags: 4)
            log.append("any, none left \(ring.outcome(12))")
            ring.cancel(13, descriptor: FileDescriptor(rawValue: -1))
            log.append("bad descriptor \(ring.outcome(13))")
            ring.cancel(14, target: 0, flags: 1 << 30)
            log.append("bad flags \(ring.outcome(14))")
            // What a partial transfer had done before it was cancelled counts.
            ring.receive(15, near, ring.buffer(8), flags: Int32(MSG_WAITALL))
            ring.send(16, far, ring.buffer("abc"))
            log.append("sent \(ring.outcome(16)) \(ring.isQuiet())")
            ring.cancel(17, target: 15)
            log.append("cancelled half way \(ring.outcome(17)) \(ring.outcome(15))")
            // The key is the open file: the same number, closed and given out again, is another.
            ring.receive(18, near, ring.buffer(8))
            ring.enter()
            ring.kernel.close(near)
            let reused = try ring.kernel.socket(.ipv4)
            ring.cancel(19, descriptor: reused, flags: 1)
            log.append("reused descriptor \(ring.outcome(19)) \(ring.isQuiet())")
            ring.cancel(20, target: 18)
            log.append("by user_data \(ring.outcome(20)) \(ring.outcome(18))")
            for socket in [reused, far, listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func refusals() throws {
        try compare { ring in
            var log: [String] = []
            let (listener, address) = try ring.listener()
            let bound = try ring.kernel.socket(.ipv4)
            log.append("address in use \(failure { try ring.kernel.bind(bound, to: address) })")
            try ring.kernel.bind(bound, to: .loopback())
            log.append("bound twice \(failure { try ring.kernel.bind(bound, to: .loopback()) })")
            let nobody = try ring.kernel.localAddress(of: bound)
            let socket = try ring.kernel.socket(.ipv4)
            ring.connect(1, socket, to: nobody)
            log.append("connect to nobody \(ring.outcome(1))")
            ring.connect(2, listener, to: nobody)
            log.append("connect a listener \(ring.outcome(2))")
            ring.connect(3, socket, to: address)
            log.append("the same socket again \(ring.outcome(3))")
            ring.connect(4, socket, to: address)
            log.append("connect twice \(ring.outcome(4))")
            let fresh = try ring.kernel.socket(.ipv4)
            ring.send(5, fresh, ring.buffer("x"))
            log.append("send unconnected \(ring.outcome(5))")
            ring.receive(6, fresh, ring.buffer(8))
            log.append("receive unconnected \(ring.outcome(6))")
            ring.accept(7, fresh)
            log.append("accept without listen \(ring.outcome(7))")
            log.append("shutdown unconnected \(failure { try ring.kernel.shutdown(fresh, .both) })")
            log.append("peer \(failure { try ring.kernel.remoteAddress(of: fresh) })")
            ring.poll(8, fresh, 1 | 4)
            log.append("poll unconnected \(ring.outcome(8))")
            ring.receive(18, fresh, ring.buffer(8))
            ring.send(19, fresh, ring.buffer("x"))
            log.append("shut, unconnected \(ring.outcome(18)) \(ring.outcome(19))")
            ring.accept(9, listener, multishot: true)
            log.append("accept \(ring.wait(for: 9).hasMore)")
            try ring.kernel.shutdown(listener, .both)
            log.append("listener shut down \(ring.outcome(9))")
            ring.accept(10, listener)
            log.append("accept \(ring.outcome(10))")
            ring.close(11, fresh)
            log.append("closed \(ring.outcome(11))")
            // Not `fresh` again, which may be that of a test beside this one by now.
            let gone = FileDescriptor(rawValue: 1 << 20)
            ring.close(12, gone)
            log.append("close what is not open \(ring.outcome(12))")
            ring.receive(13, gone, ring.buffer(8))
            log.append("receive there \(ring.outcome(13))")
            let waker = try ring.kernel.makeWaker()
            ring.accept(14, waker.descriptor)
            log.append("accept no socket \(ring.outcome(14))")
            ring.receive(15, waker.descriptor, ring.buffer(8))
            log.append("receive no socket \(ring.outcome(15))")
            waker.close()
            unsafe ring.queue(16) { unsafe $0.pointee = .init(); unsafe $0.pointee.opcode = 250 }
            log.append("unknown opcode \(ring.outcome(16))")
            let elsewhere = try SocketAddress(host: "192.0.2.1", port: 0)
            let stranger = try ring.kernel.socket(.ipv4)
            log.append("not local \(failure { try ring.kernel.bind(stranger, to: elsewhere) })")
            ring.kernel.close(stranger)
            for socket in [listener, bound, socket] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func multishotAccept() throws {
        try compare(entries: 8, completions: 8) { ring in
            var log: [String] = []
            let (listener, address) = try ring.listener()
            ring.accept(1, listener, multishot: true)
            var sockets: [FileDescriptor] = []
            for number in UInt64(2)...3 {
                let socket = try ring.kernel.socket(.ipv4)
                sockets.append(socket)
                ring.connect(number, socket, to: address)
                log.append("connect \(ring.outcome(number))")
                let accepted = ring.wait(for: 1)
                sockets.append(FileDescriptor(rawValue: accepted.result))
                log.append("accepted \(accepted.result >= 0) \(accepted.hasMore)")
            }
            ring.cancel(4, target: 1)
            log.append("cancel \(ring.outcome(4)) \(ring.outcome(1))")
            // With the completion queue full, a multishot ends with its result in the last completion: trap 9.
            ring.accept(5, listener, multishot: true)
            ring.enter()
            for number in UInt64(10)...17 { ring.nop(number) }
            ring.enter()
            let late = try ring.kernel.socket(.ipv4)
            sockets.append(late)
            ring.connect(18, late, to: address)
            ring.enter()
            ring.enter()
            log.append("overflow \(ring.hasOverflow) \(ring.completions().map(\.userData))")
            let last = ring.wait(for: 5)
            log.append("accepted \(last.result >= 0) \(last.hasMore) \(ring.outcome(18)) \(ring.hasOverflow)")
            sockets.append(FileDescriptor(rawValue: last.result))
            for socket in sockets + [listener] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func connectionsThatWereNeverAccepted() throws {
        try compare { ring in
            var log: [String] = []
            let (listener, address) = try ring.listener()
            let socket = try ring.kernel.socket(.ipv4)
            ring.connect(1, socket, to: address)
            log.append("connect \(ring.outcome(1))")
            ring.send(2, socket, ring.buffer("hello"))
            log.append("send \(ring.outcome(2))")
            ring.kernel.close(listener)
            ring.receive(3, socket, ring.buffer(8))
            log.append("receive \(ring.outcome(3))")
            let again = try ring.kernel.socket(.ipv4)
            ring.connect(4, again, to: address)
            log.append("connect \(ring.outcome(4))")
            for socket in [socket, again] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func anOverflowKeepsItsOrder() throws {
        try compare(entries: 4, completions: 4) { ring in
            var log: [String] = []
            for number in UInt64(1)...4 { ring.nop(number) }
            ring.enter()
            ring.nop(5)
            ring.enter()
            log.append("overflow \(ring.hasOverflow) \(ring.completions().map(\.userData))")
            // There is room now, but not for one that comes after those that wait.
            ring.nop(6)
            ring.enter(reap: false)
            log.append("not reaped \(ring.hasOverflow) \(ring.completions().map(\.userData))")
            ring.enter()
            log.append("reaped \(ring.hasOverflow) \(ring.completions().map(\.userData))")
            return log
        }
    }

    // MARK: - poll

    @Test func wakeUps() throws {
        try compare { ring in
            var log: [String] = []
            let waker = try ring.kernel.makeWaker()
            ring.poll(1, waker.descriptor, 1, multishot: true)
            ring.enter()
            log.append("quiet \(ring.isQuiet())")
            waker.wake()
            log.append("flag \(ring.hasDeferredWork)")
            log.append("woken \(ring.outcome(1)) \(ring.isQuiet())")
            waker.wake()
            waker.wake()
            log.append("woken twice \(ring.outcome(1)) \(ring.isQuiet())")
            ring.cancel(2, target: 1)
            log.append("cancel \(ring.outcome(2)) \(ring.outcome(1))")
            ring.poll(3, waker.descriptor, 1)
            log.append("poll of what is ready \(ring.outcome(3))")
            waker.close()
            return log
        }
    }

    @Test func pollsOfSockets() throws {
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection()
            ring.poll(1, near, 4)
            log.append("writable \(ring.outcome(1))")
            ring.poll(2, near, 1, multishot: true)
            ring.poll(3, listener, 1)
            ring.enter()
            log.append("quiet \(ring.isQuiet())")
            ring.send(4, far, ring.buffer("x"))
            log.append("readable \(ring.outcome(4)) \(ring.outcome(2)) \(ring.isQuiet())")
            ring.send(5, far, ring.buffer("y"))
            log.append("again \(ring.outcome(5)) \(ring.outcome(2))")
            let socket = try ring.kernel.socket(.ipv4)
            ring.connect(6, socket, to: try ring.kernel.localAddress(of: listener))
            log.append("listener \(ring.outcome(6)) \(ring.outcome(3))")
            ring.cancel(7, target: 2)
            log.append("cancel \(ring.outcome(7)) \(ring.outcome(2))")
            for socket in [near, far, listener, socket] { ring.kernel.close(socket) }
            return log
        }
    }

    // MARK: - Unix

    @Test func unixSockets() throws {
        let path = "/tmp/reactortesting-\(getpid()).sock"
        try compare { ring in
            var log: [String] = []
            let address = try SocketAddress.unix(path: path)
            let lonely = try ring.kernel.socket(.unix)
            ring.connect(1, lonely, to: address)
            log.append("no path \(ring.outcome(1))")
            ring.send(2, lonely, ring.buffer("x"))
            ring.receive(3, lonely, ring.buffer(8))
            log.append("unconnected \(ring.outcome(2)) \(ring.outcome(3))")
            log.append("listen unbound \(failure { try ring.kernel.listen(lonely, backlog: 1) })")
            let (near, far, listener) = try ring.connection(address)
            log.append("address of the listener \(try ring.kernel.remoteAddress(of: near) == address)")
            log.append("of the other end \(try ring.kernel.remoteAddress(of: far).path ?? "-")")
            let second = try ring.kernel.socket(.unix)
            log.append("bound \(failure { try ring.kernel.bind(second, to: address) })")
            ring.kernel.close(second)
            ring.send(4, near, ring.buffer("hello"))
            ring.receive(5, far, ring.buffer(8))
            log.append("hello \(ring.outcome(4)) \(ring.outcome(5))")
            try ring.kernel.shutdown(near, .sending)
            ring.receive(6, far, ring.buffer(8))
            log.append("end \(ring.outcome(6))")
            ring.send(7, far, ring.buffer("unread"))
            log.append("sent \(ring.outcome(7))")
            ring.kernel.close(near)
            ring.poll(8, far, 1 | 4)
            log.append("poll \(ring.outcome(8))")
            ring.send(9, far, ring.buffer("x"))
            log.append("send \(ring.outcome(9))")
            ring.receive(10, far, ring.buffer(8))
            log.append("reset \(ring.outcome(10))")
            ring.receive(11, far, ring.buffer(8))
            log.append("then \(ring.outcome(11))")
            log.append("shutdown \(failure { try ring.kernel.shutdown(far, .both) })")
            ring.kernel.close(listener)
            let late = try ring.kernel.socket(.unix)
            ring.connect(12, late, to: address)
            log.append("nobody listens \(ring.outcome(12))")
            try ring.kernel.unlink(path)
            try ring.kernel.unlink(path)
            ring.connect(13, late, to: address)
            log.append("unlinked \(ring.outcome(13))")
            for socket in [far, late, lonely] { ring.kernel.close(socket) }
            return log
        }
    }

    @Test func unixCloseWithoutUnreadBytes() throws {
        let path = "/tmp/reactortesting-\(getpid())-2.sock"
        try compare { ring in
            var log: [String] = []
            let (near, far, listener) = try ring.connection(try .unix(path: path))
            ring.send(1, near, ring.buffer("last"))
            log.append("sent \(ring.outcome(1))")
            ring.kernel.close(near)
            ring.send(2, far, ring.buffer("x"))
            log.append("send \(ring.outcome(2))")
            ring.poll(3, far, 1 | 4)
            log.append("poll \(ring.outcome(3))")
            for round in UInt64(4)...5 {
                ring.receive(round, far, ring.buffer(8))
                log.append("receive \(ring.outcome(round))")
            }
            for socket in [far, listener] { ring.kernel.close(socket) }
            try ring.kernel.unlink(path)
            return log
        }
    }
}
