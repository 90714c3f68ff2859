import CLiburing
import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

@Suite struct PeerTests {
    @Test func aScriptedClientTalks() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (listener, address) = try ring.listener()
        let peer = try kernel.connect(to: address)
        ring.accept(1, listener)
        let socket = FileDescriptor(rawValue: ring.result(1))
        #expect(try kernel.remoteAddress(of: socket) == peer.localAddress)
        peer.send("hello")
        let buffer = ring.buffer(16)
        ring.receive(2, socket, buffer)
        #expect(buffer.text(ring.result(2)) == "hello")
        ring.send(3, socket, ring.buffer("back"))
        ring.wait(for: 3)
        #expect(peer.takeReceived() == "back")
        #expect(peer.received.isEmpty)
        peer.shutdown()
        ring.receive(4, socket, buffer)
        #expect(ring.result(4) == 0)
        try kernel.shutdown(socket, .sending)
        #expect(peer.sawEnd)
        peer.close()
        kernel.close(socket)
        kernel.close(listener)
        #expect(kernel.openDescriptors == 0)
    }

    @Test func aScriptedClientResets() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (listener, address) = try ring.listener()
        let peer = try kernel.connect(to: address)
        ring.accept(1, listener)
        let socket = FileDescriptor(rawValue: ring.result(1))
        ring.receive(2, socket, ring.buffer(8))
        ring.enter()
        peer.reset()
        #expect(ring.outcome(2) == TestRing.name(ECONNRESET))
        #expect(peer.state == .closed)
    }

    @Test func aPeerSeesAReset() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (listener, address) = try ring.listener()
        let peer = try kernel.connect(to: address)
        var ended = false
        peer.onEnd = { _ in ended = true }
        ring.accept(1, listener)
        let socket = FileDescriptor(rawValue: ring.result(1))
        peer.send("unread")
        kernel.close(socket)
        #expect(peer.state == .failed(.connectionReset))
        #expect(ended)
    }

    @Test func aPausedPeerFillsTheConnection() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (listener, address) = try ring.listener()
        let peer = try kernel.connect(to: address)
        peer.pauseReading()
        ring.accept(1, listener)
        let socket = FileDescriptor(rawValue: ring.result(1))
        let block = ring.buffer(200_000)
        ring.send(2, socket, block)
        #expect(ring.result(2) == 65_536)
        #expect(peer.unread == 65_536)
        ring.send(3, socket, block)
        #expect(ring.isQuiet())
        peer.read(upTo: 1_000)
        // Less than a third is free: Linux does not call that writable.
        #expect(ring.isQuiet())
        peer.read(upTo: 30_000)
        #expect(ring.result(3) == 31_000)
        ring.send(4, socket, block, flags: Int32(MSG_WAITALL))
        #expect(ring.isQuiet())
        peer.resumeReading()
        #expect(ring.result(4) == 200_000)
        #expect(peer.received.count == 65_536 + 31_000 + 200_000)
    }

    @Test func aPeerSendsMoreThanFits() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (listener, address) = try ring.listener()
        let peer = try kernel.connect(to: address)
        peer.send(Bytes([UInt8](repeating: 1, count: 100_000)))
        peer.shutdown()
        #expect(peer.unsent == 100_000 - 65_536)
        ring.accept(1, listener)
        let socket = FileDescriptor(rawValue: ring.result(1))
        let buffer = ring.buffer(200_000)
        ring.receive(2, socket, buffer, flags: Int32(MSG_WAITALL))
        #expect(ring.result(2) == 100_000)
        #expect(peer.unsent == 0)
    }

    @Test func aScriptedServerAnswers() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let address = try SocketAddress(host: "192.0.2.7", port: 80)
        let server = kernel.listen(on: address)
        server.onAccept = { peer in
            peer.onReceive = { peer, bytes in peer.send("echo " + bytes) }
        }
        let socket = try kernel.socket(.ipv4)
        ring.connect(1, socket, to: address)
        #expect(ring.outcome(1) == "0")
        #expect(try kernel.remoteAddress(of: socket) == address)
        ring.send(2, socket, ring.buffer("hi"))
        let buffer = ring.buffer(16)
        ring.receive(3, socket, buffer)
        #expect(buffer.text(ring.result(3)) == "echo hi")
        server.close()
        let late = try kernel.socket(.ipv4)
        ring.connect(4, late, to: address)
        #expect(ring.outcome(4) == TestRing.name(ECONNREFUSED))
    }

    @Test func nobodyThere() throws {
        let kernel = SimulatedKernel()
        _ = try TestRing(kernel)
        #expect(throws: Errno.connectionRefused) { try kernel.connect(to: .loopback(port: 1)) }
    }

    // MARK: - Time and threads

    @Test func scriptsRunWhenTheirTimeComes() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (listener, address) = try ring.listener()
        let start = kernel.now()
        var log: [UInt64] = []
        kernel.schedule(after: .seconds(2)) { log.append(kernel.now() - start) }
        kernel.schedule(after: .seconds(1)) {
            log.append(kernel.now() - start)
            _ = try? kernel.connect(to: address)
        }
        ring.accept(1, listener)
        ring.enter(wait: 1)
        #expect(kernel.now() == start + 1_000_000_000)
        #expect(ring.ready == 1)
        kernel.advance(by: .seconds(5))
        #expect(log == [1_000_000_000, 2_000_000_000])
        #expect(kernel.now() == start + 6_000_000_000)
    }

    @Test func advancedTimersFireAtTheNextEnter() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        ring.timeout(1, nanoseconds: 1_000_000_000)
        ring.enter()
        kernel.advance(by: .seconds(1))
        #expect(ring.ready == 0)
        #expect(ring.hasDeferredWork)
        ring.enter()
        #expect(ring.completions().map(\.result) == [-ETIME])
    }

    @Test func timeoutsCanBeRefused() throws {
        var configuration = SimulatedKernel.Configuration.quiet
        configuration.capabilities.multishotTimeout = false
        let ring = try TestRing(SimulatedKernel(configuration: configuration))
        ring.timeout(1, nanoseconds: 1_000, flags: 1 << 6)
        #expect(ring.outcome(1) == TestRing.name(EINVAL))
    }

    @Test func anUpdatedTimeoutKeepsItsNewTime() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let start = kernel.now()
        ring.timeout(1, nanoseconds: 1_000_000)
        let span = ring.buffer(16)
        unsafe span.memory.storeBytes(of: 5, as: Int64.self)
        unsafe ring.queue(2) {
            unsafe io_uring_prep_timeout_update(
                $0, span.memory.baseAddress!.assumingMemoryBound(to: __kernel_timespec.self), 1, 0)
        }
        ring.enter(wait: 2)
        #expect(ring.completions().map(\.description) == ["2: 0", "1: -62"])
        #expect(kernel.now() == start + 5_000_000_000)
    }

    @Test func whoeverWatchesTheClockSeesItMove() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let start = kernel.now()
        #expect(kernel.now() == start)
        while kernel.now() < start + 20_000 {}
        let turn = kernel.now()
        ring.enter()
        #expect(kernel.now() > turn)
    }

    @Test func anotherThreadEndsAWait() throws {
        var configuration = SimulatedKernel.Configuration()
        configuration.blocksWhenIdle = true
        let kernel = SimulatedKernel(configuration: configuration)
        let ring = try TestRing(kernel)
        let waker = try kernel.makeWaker()
        ring.poll(1, waker.descriptor, 1, multishot: true)
        ring.enter()
        for _ in 0..<100 {
            Thread.run { waker.wake() }
            ring.enter(wait: 1)
            #expect(ring.completions().map(\.description) == ["1: 1 more"])
        }
        ring.cancel(2, target: 1)
        ring.wait(for: 2)
        ring.wait(for: 1)
        waker.close()
        #expect(kernel.openDescriptors == 0)
    }
}
