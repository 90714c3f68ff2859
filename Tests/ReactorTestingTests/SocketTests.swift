import CLiburing
import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

@Suite struct SocketTests {
    @Test func bytesGoBothWays() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (near, far, listener) = try ring.connection()
        let buffer = ring.buffer(16)
        ring.receive(1, far, buffer)
        ring.send(2, near, ring.buffer("hello"))
        #expect(ring.result(2) == 5)
        let count = ring.result(1)
        #expect(buffer.text(count) == "hello")
        for descriptor in [near, far, listener] { kernel.close(descriptor) }
        #expect(kernel.openDescriptors == 0)
        #expect(kernel.inFlightCount == 0)
        kernel.close()
    }

    @Test func anOperationKeepsAClosedSocketOpen() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (near, far, listener) = try ring.connection()
        let buffer = ring.buffer(16)
        ring.receive(1, near, ring.buffer(16))
        ring.receive(2, far, buffer)
        ring.enter()
        // Trap 3: neither side hears of it.
        kernel.close(near)
        ring.enter()
        #expect(ring.ready == 0)
        // The number is free, and stands for something else at once.
        #expect(try kernel.socket(.ipv4) == near)
        ring.send(3, far, ring.buffer("late"))
        #expect(ring.result(3) == 4)
        #expect(ring.result(1) == 4)
        // That was the last reference.
        #expect(ring.result(2) == 0)
        kernel.close(near)
        kernel.close(far)
        kernel.close(listener)
        #expect(kernel.openDescriptors == 0)
    }

    @Test func whatIsInFlightIsKnown() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (near, far, _) = try ring.connection()
        let buffer = ring.buffer(16)
        ring.receive(7, near, buffer)
        ring.enter()
        let operation = try #require(kernel.inFlight.first)
        #expect(kernel.inFlightCount == 1)
        #expect(operation.userData == 7)
        #expect(operation.opcode == .recv)
        #expect(operation.descriptor == near.rawValue)
        let start = unsafe UInt(bitPattern: buffer.memory.baseAddress)
        #expect(operation.buffers == [MemoryRange(address: start, count: 16, isWritten: true)])
        ring.send(8, far, ring.buffer("x"))
        ring.wait(for: 7)
        #expect(kernel.inFlight.isEmpty)
    }

    @Test func aSendReadsItsBytesWhenTheyAreSent() throws {
        var configuration = SimulatedKernel.Configuration()
        configuration.sendBuffer = 4
        configuration.receiveBuffer = 4
        configuration.checksMemory = false
        let kernel = SimulatedKernel(configuration: configuration)
        let ring = try TestRing(kernel)
        let (near, far, _) = try ring.connection()
        let bytes = ring.buffer("0123456789abcdef")
        ring.send(1, near, bytes, flags: Int32(MSG_WAITALL))
        ring.enter()
        #expect(ring.ready == 0)
        // What a correct program would not do: the second half has not been read yet.
        unsafe bytes.memory[15] = UInt8(ascii: "!")
        let buffer = ring.buffer(16)
        ring.receive(2, far, buffer, flags: Int32(MSG_WAITALL))
        #expect(ring.result(2) == 16)
        #expect(buffer.text(16) == "0123456789abcde!")
        #expect(ring.result(1) == 16)
    }

    @Test func descriptorsAreReusedLowestFirstAndRunOut() throws {
        var configuration = SimulatedKernel.Configuration()
        configuration.descriptorLimit = 4
        let kernel = SimulatedKernel(configuration: configuration)
        let ring = try TestRing(kernel)
        let (listener, address) = try ring.listener()
        let others = try (0..<3).map { _ in try kernel.socket(.ipv4) }
        #expect(throws: Errno.tooManyOpenFiles) { try kernel.socket(.ipv4) }
        // At once, with nobody there yet: the descriptor is taken first.
        ring.accept(1, listener, multishot: true)
        #expect(ring.outcome(1) == TestRing.name(EMFILE))
        let peer = try kernel.connect(to: address)
        kernel.close(others[1])
        kernel.close(others[0])
        ring.accept(2, listener, multishot: true)
        #expect(ring.wait(for: 2).result == others[0].rawValue)
        // The connection that finds no descriptor stays in the backlog.
        let second = try kernel.connect(to: address)
        let third = try kernel.connect(to: address)
        #expect(ring.wait(for: 2).result == others[1].rawValue)
        #expect(ring.outcome(2) == TestRing.name(EMFILE))
        kernel.close(others[2])
        ring.accept(3, listener)
        #expect(ring.wait(for: 3).result == others[2].rawValue)
        #expect([peer.state, second.state, third.state] == [.open, .open, .open])
    }

    @Test func aFullBacklogLetsConnectsWait() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (listener, address) = try ring.listener(backlog: 0)
        let sockets = try (0..<3).map { _ in try kernel.socket(.ipv4) }
        for (index, socket) in sockets.enumerated() { ring.connect(UInt64(index + 1), socket, to: address) }
        ring.enter()
        #expect(ring.completions().map(\.userData) == [1])
        ring.accept(10, listener)
        ring.wait(for: 10)
        #expect(ring.outcome(2) == "0")
        // Nobody accepts the second, so the third gives up.
        let start = kernel.now()
        while ring.ready == 0 { ring.enter(wait: 1) }
        #expect(ring.outcome(3) == TestRing.name(ETIMEDOUT))
        #expect(kernel.now() - start <= 127_000_000_000)
        #expect(kernel.now() - start > 126_000_000_000)
    }

    @Test func wildcardAddressesTakeWhatComes() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (six, bound) = try ring.listener(.anyV6())
        let port = try #require(bound.port)
        let socket = try kernel.socket(.ipv4)
        ring.accept(1, six)
        ring.connect(2, socket, to: .loopback(port: port))
        #expect(ring.outcome(2) == "0")
        let accepted = FileDescriptor(rawValue: ring.result(1))
        #expect(try kernel.localAddress(of: accepted).description == "[::ffff:127.0.0.1]:\(port)")
        #expect(throws: Errno.addressInUse) { try ring.listener(.any(port: port)) }
        let (four, _) = try ring.listener(.loopback(port: 5_000))
        #expect(throws: Errno.addressInUse) { try ring.listener(.any(port: 5_000)) }
        _ = try ring.listener(.anyV6(port: 5_000), options: [(.ipv6Only, 1)])
        kernel.close(four)
    }

    @Test func sharedPortsTakeTurns() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (first, address) = try ring.listener(options: [(.reusePort, 1)])
        let (second, _) = try ring.listener(address, options: [(.reusePort, 1)])
        ring.accept(1, first, multishot: true)
        ring.accept(2, second, multishot: true)
        ring.enter()
        let peers = try (0..<4).map { _ in try kernel.connect(to: address) }
        ring.enter()
        #expect(ring.completions().map(\.userData).sorted() == [1, 1, 2, 2])
        #expect(peers.allSatisfy { $0.state == .open })
    }

    @Test func cancelledConnectsLeaveTheListenerAlone() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        kernel.silence(.loopback(port: 9))
        let socket = try kernel.socket(.ipv4)
        ring.connect(1, socket, to: .loopback(port: 9))
        ring.enter()
        ring.send(2, socket, ring.buffer("early"), flags: Int32(MSG_DONTWAIT))
        #expect(ring.outcome(2) == TestRing.name(EAGAIN))
        ring.connect(3, socket, to: .loopback(port: 9))
        #expect(ring.outcome(3) == TestRing.name(EALREADY))
        ring.cancel(4, target: 1)
        #expect(ring.outcome(4) == "0")
        #expect(ring.outcome(1) == TestRing.name(ECANCELED))
        kernel.close(socket)
        #expect(kernel.openDescriptors == 0)
        #expect(kernel.inFlightCount == 0)
    }

    @Test func aWriteToABrokenPipeIsAViolation() throws {
        let kernel = SimulatedKernel()
        var violations: [String] = []
        kernel.onViolation = { violations.append($0) }
        let ring = try TestRing(kernel)
        let (near, _, _) = try ring.connection()
        try kernel.shutdown(near, .sending)
        let bytes = ring.buffer("x")
        unsafe ring.queue(1) { unsafe io_uring_prep_write($0, near.rawValue, bytes.memory.baseAddress, 1, 0) }
        #expect(ring.outcome(1) == TestRing.name(EPIPE))
        #expect(violations.count == 1)
    }
}
