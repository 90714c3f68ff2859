import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// The same little programs on the simulated kernel and on Linux, over loopback: what they find must be the same.
@Suite struct SideBySideTests {
    private func compare(
        entries: Int = 64, completions: Int = 128, _ location: SourceLocation = #_sourceLocation,
        _ program: (TestRing) throws -> [String]
    ) throws {
        let simulated = SimulatedKernel()
        let modelRing = try TestRing(simulated, entries: entries, completions: completions)
        let model = try program(modelRing)
        let real: [String]
        do {
            let linux = IOUringKernel()
            let ring = try TestRing(linux, entries: entries, completions: completions)
            real = try program(ring)
            linux.close()
        } catch let error as RingUnavailable {
            // A host that forbids io_uring can still test the model.
            Issue.record("no io_uring here: \(error)")
            return
        }
        #expect(model == real, "simulated, then Linux", sourceLocation: location)
        if ProcessInfo.isVerbose { for line in real { print(line) } }
    }

    private func failure(_ body: () throws -> some Any) -> String {
        do {
            _ = try body()
            return "ok"
        } catch {
            return (error as? Errno).map { TestRing.name($0.rawValue) } ?? "\(error)"
        }
    }

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

    // MARK: - TCP

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
            log.append("peer is listener's \(try ring.kernel.remoteAddress(of: near) == ring.kernel.localAddress(of: listener))")
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
            ring.send(5, near, block, flags: Int32(MSG_DONTWAIT))
            let again = ring.result(5)
            log.append("full \(again == -EAGAIN)")
            for socket in [near, far, listener] { ring.kernel.close(socket) }
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
            ring.close(12, fresh)
            log.append("closed twice \(ring.outcome(12))")
            ring.receive(13, fresh, ring.buffer(8))
            log.append("receive closed \(ring.outcome(13))")
            let waker = try ring.kernel.makeWaker()
            ring.accept(14, waker.descriptor)
            log.append("accept no socket \(ring.outcome(14))")
            ring.receive(15, waker.descriptor, ring.buffer(8))
            log.append("receive no socket \(ring.outcome(15))")
            waker.close()
            unsafe ring.queue(16) { unsafe $0.pointee = .init(); unsafe $0.pointee.opcode = 250 }
            log.append("unknown opcode \(ring.outcome(16))")
            log.append("not local \(failure { try ring.kernel.bind(ring.kernel.socket(.ipv4), to: SocketAddress(host: "192.0.2.1", port: 0)) })")
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
            log.append("addresses \(try ring.kernel.remoteAddress(of: near)  == address) \(try ring.kernel.remoteAddress(of: far).path ?? "-")")
            log.append("bound \(failure { try ring.kernel.bind(ring.kernel.socket(.unix), to: address) })")
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

enum ProcessInfo {
    static let isVerbose = unsafe getenv("SIDE_BY_SIDE_VERBOSE") != nil
}
