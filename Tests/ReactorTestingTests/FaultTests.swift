import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

@Suite struct FaultTests {
    // MARK: - Ordered, once

    @Test func entersFailAsOrdered() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        ring.nop(1)
        kernel.failNext(.enter, with: .resourceTemporarilyUnavailable)
        #expect(ring.enter() == -EAGAIN)
        #expect(ring.queued == 1)
        kernel.failNext(.enter, with: .interrupted)
        // What was submitted counts, and what is there needs no wait: EINTR stays for one that waits.
        #expect(ring.enter(wait: 1) == 1)
        #expect(ring.completions().count == 1)
        ring.timeout(2, nanoseconds: 1_000_000)
        ring.enter()
        #expect(ring.enter(wait: 1) == -EINTR)
        #expect(ring.enter(wait: 1) == 0)
    }

    @Test func aPartialSubmitNeitherWaitsNorReaps() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (near, far, _) = try ring.connection()
        ring.receive(1, far, ring.buffer(8))
        ring.enter()
        ring.send(2, near, ring.buffer("x"))
        ring.nop(3)
        kernel.limitNextSubmit(to: 1)
        #expect(ring.enter(wait: 3) == 1)
        #expect(ring.queued == 1)
        #expect(ring.completions().map(\.userData) == [2])
        #expect(ring.hasDeferredWork)
        #expect(ring.enter() == 1)
        #expect(ring.completions().map(\.userData) == [3, 1])
        #expect(!ring.hasDeferredWork)
    }

    @Test func completionsFailAsOrdered() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (listener, address) = try ring.listener()
        ring.accept(1, listener, multishot: true)
        ring.enter()
        kernel.completeNext(.accept, with: .tooManyOpenFiles)
        let peer = try kernel.connect(to: address)
        #expect(ring.outcome(1) == TestRing.name(EMFILE))
        ring.accept(2, listener)
        #expect(ring.result(2) > 0)
        #expect(peer.state == .open)
    }

    @Test func transfersAreShortAsOrdered() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (near, far, _) = try ring.connection()
        kernel.shortenNext(.send, to: 3)
        ring.send(1, near, ring.buffer("hello"), flags: Int32(MSG_WAITALL))
        #expect(ring.result(1) == 3)
        ring.send(2, near, ring.buffer("lo"))
        kernel.shortenNext(.recv, to: 1)
        ring.receive(3, far, ring.buffer(5), flags: Int32(MSG_WAITALL))
        #expect(ring.result(3) == 1)
        let buffer = ring.buffer(5)
        ring.receive(4, far, buffer)
        #expect(buffer.text(ring.result(4)) == "ello")
    }

    @Test func aLostCancelLetsTheOperationEndByItself() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel)
        let (near, far, _) = try ring.connection()
        // One that could go on does.
        ring.receive(1, far, ring.buffer(8))
        ring.enter()
        kernel.loseNextCancel()
        ring.cancel(2, target: 1)
        ring.send(3, near, ring.buffer("x"))
        #expect(ring.outcome(2) == TestRing.name(EALREADY))
        #expect(ring.outcome(1) == "1")
        // One that could not is interrupted, soon.
        ring.receive(4, far, ring.buffer(8))
        ring.enter()
        kernel.loseNextCancel()
        ring.cancel(5, target: 4)
        #expect(ring.outcome(5) == TestRing.name(EALREADY))
        #expect([TestRing.name(ECANCELED), TestRing.name(EINTR)].contains(ring.outcome(4)))
        // A timer fires.
        ring.timeout(6, nanoseconds: 3_600_000_000_000)
        ring.enter()
        kernel.loseNextCancel()
        let start = kernel.now()
        ring.removeTimeout(7, target: 6)
        #expect(ring.outcome(7) == TestRing.name(EALREADY))
        #expect(ring.outcome(6) == TestRing.name(ETIME))
        #expect(kernel.now() - start < 10_000_000)
    }

    @Test func callsFailAsOrdered() throws {
        let kernel = SimulatedKernel()
        _ = try TestRing(kernel)
        kernel.failNext(.socket, with: .tooManyOpenFilesInSystem)
        #expect(throws: Errno.tooManyOpenFilesInSystem) { try kernel.socket(.ipv4) }
        let socket = try kernel.socket(.ipv4)
        kernel.failNext(.bind, with: .permissionDenied)
        #expect(throws: Errno.permissionDenied) { try kernel.bind(socket, to: .loopback()) }
        let other = SimulatedKernel()
        other.failNext(.open, with: .noMemory)
        #expect(throws: RingUnavailable.self) { try TestRing(other) }
    }

    // MARK: - Drawn from the seed

    /// Several connections that send, receive and cancel, whatever goes wrong. Checks that each stream arrives in order.
    private func run(
        seed: UInt64, plan: FaultPlan, clients: Int = 3
    ) throws -> (trace: String, faults: Int, ends: [String]) {
        var configuration = SimulatedKernel.Configuration()
        configuration.faults = plan
        // The program makes its listener on a ring that runs, and is at a loss without.
        configuration.faults.socketLimit = 0
        configuration.ringIndexStart = seed % 2 == 0 ? 0 : .max - 20
        configuration.traceLimit = 1 << 20
        configuration.sendBuffer = 64
        configuration.receiveBuffer = 64
        let kernel = SimulatedKernel(seed: seed, configuration: configuration)
        // It cancels again and again.
        kernel.spinLimit = .max
        let ring = try TestRing(kernel, entries: 8, completions: 8)
        let (listener, address) = try ring.listener()
        ring.accept(1, listener, multishot: true)
        let text = String((0..<400).map { Character(UnicodeScalar(UInt8(97 + $0 % 26))) })
        let source = ring.buffer(text)
        let peers = try (0..<clients).map { number in
            let peer = try kernel.connect(to: address)
            kernel.schedule(after: .microseconds(number)) { peer.send(Bytes(text)) }
            return peer
        }

        struct Connection {
            let socket: FileDescriptor
            let sink: TestRing.Buffer
            var received = ""
            var sent = 0
            var open = 2
        }
        var connections: [Connection] = []
        var ends: [String] = []
        func receive(_ index: Int) {
            ring.receive(UInt64(100 + index), connections[index].socket, connections[index].sink)
        }
        func send(_ index: Int) {
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: source.memory[connections[index].sent...])
            unsafe ring.send(UInt64(200 + index), connections[index].socket, TestRing.Buffer(memory: rest))
        }
        func flush() {
            while ring.queued > 0 {
                let status = ring.enter()
                precondition(status >= 0 || [-EINTR, -EAGAIN, -EBUSY].contains(status), "enter \(status)")
                if ring.ready > 0 { break }
            }
        }
        func end(_ index: Int, _ reason: String) {
            connections[index].open -= 1
            ends.append("\(index) \(reason)")
            // The other operation is still under way: trap 3.
            if connections[index].open == 1 { try? kernel.shutdown(connections[index].socket, .both) }
        }
        var rounds = 0
        var gone = 0
        while connections.count + gone < clients || connections.contains(where: { $0.open > 0 }) {
            rounds += 1
            precondition(rounds < 100_000, "no progress\n\(kernel.state)")
            let status = ring.enter(wait: 1)
            precondition(status >= 0 || [-EINTR, -EAGAIN, -EBUSY].contains(status), "enter \(status)")
            for completion in ring.completions() {
                let index = Int(completion.userData % 100)
                switch completion.userData {
                case 1:
                    if completion.result >= 0 {
                        connections.append(
                            Connection(socket: FileDescriptor(rawValue: completion.result), sink: ring.buffer(50)))
                        receive(connections.count - 1)
                        send(connections.count - 1)
                    }
                    if completion.result == -ECONNABORTED { gone += 1 }
                    if !completion.hasMore { ring.accept(1, listener, multishot: true) }
                case 100..<200 where completion.result > 0:
                    connections[index].received += connections[index].sink.text(completion.result)
                    #expect(text.hasPrefix(connections[index].received))
                    if connections[index].received.utf8.count == 400 { end(index, "received") } else { receive(index) }
                case 200..<300 where completion.result > 0:
                    connections[index].sent += Int(completion.result)
                    if connections[index].sent == 400 { end(index, "sent") } else { send(index) }
                default: end(index, "\(completion.userData) \(completion.result)")
                }
                flush()
            }
        }
        for connection in connections { kernel.close(connection.socket) }
        while kernel.inFlightCount > 0 {
            rounds += 1
            precondition(rounds < 100_000, "no end\n\(kernel.state)")
            // One cancellation at a time: each of them may be late as well.
            let inFlight = kernel.inFlight.map(\.userData)
            if inFlight.contains(1), !inFlight.contains(2), ring.queued == 0 { ring.cancel(2, target: 1) }
            ring.enter(wait: 1)
            let found = ring.completions()
            for completion in found where completion.userData == 1 && completion.result >= 0 {
                kernel.close(FileDescriptor(rawValue: completion.result))
            }
        }
        kernel.close(listener)
        #expect(kernel.openDescriptors == 0)
        kernel.close()
        for peer in peers where peer.state == .open { #expect(text.hasPrefix(String(peer.received))) }
        let trace = kernel.trace.map(\.description).joined(separator: "\n")
        let faults = kernel.trace.count { if case .fault = $0.step { true } else { false } }
        return (trace, faults, ends.sorted())
    }

    @Test func nothingGoesWrongByDefault() throws {
        let (_, faults, ends) = try run(seed: 1, plan: .none)
        #expect(faults == 0)
        #expect(ends == ["0 received", "0 sent", "1 received", "1 sent", "2 received", "2 sent"])
    }

    @Test func theSameSeedGivesTheSameTrace() throws {
        for seed in UInt64(1)...20 {
            let first = try run(seed: seed, plan: .nasty(seed: seed))
            let second = try run(seed: seed, plan: .nasty(seed: seed))
            #expect(first.trace == second.trace)
        }
        #expect(try run(seed: 1, plan: .nasty(seed: 1)).trace != run(seed: 2, plan: .nasty(seed: 1)).trace)
    }

    @Test func streamsStayInOrderWhateverGoesWrong() throws {
        var faults: Set<String> = []
        for seed in UInt64(0)..<250 {
            let trace = try run(seed: seed, plan: .nasty(seed: seed)).trace
            for line in trace.split(separator: "\n") {
                if let range = line.firstRange(of: "fault: ") { faults.insert(String(line[range.upperBound...])) }
            }
        }
        // Every kind was drawn.
        #expect(faults == [
            "enter fails with EAGAIN", "wait interrupted", "partial submit", "short send",
            "short recv", "late completion", "late readiness", "connection reset", "no descriptor for an accept",
            "multishot ends", "lost cancel", "missed cancel", "multishot ends with nothing", "operation interrupted",
            "connection will break", "connection breaks", "accepted connection is gone",
        ])
    }

    @Test func lateReceivesDoNotOvertakeEachOther() throws {
        var plan = FaultPlan.none
        plan.lateCompletion = 0.5
        for seed in UInt64(0)..<50 {
            var configuration = SimulatedKernel.Configuration()
            configuration.faults = plan
            let ring = try TestRing(SimulatedKernel(seed: seed, configuration: configuration))
            let (near, far, _) = try ring.connection()
            ring.send(1, near, ring.buffer("0123456789"))
            ring.wait(for: 1)
            for number in UInt64(10)..<20 { ring.receive(number, far, ring.buffer(1)) }
            ring.enter()
            var order: [UInt64] = []
            while order.count < 10 {
                ring.enter(wait: 1)
                order += ring.completions().map(\.userData)
            }
            #expect(order == Array(10..<20))
        }
    }

    @Test func anOverflowThatCannotBePlacedIsBusy() throws {
        let kernel = SimulatedKernel()
        let ring = try TestRing(kernel, entries: 4, completions: 4)
        for number in 1...4 { ring.nop(UInt64(number)) }
        ring.enter()
        ring.nop(5)
        ring.enter()
        kernel.faults.busy = 1
        #expect(ring.enter(wait: 1) == -EBUSY)
        kernel.faults = .none
        #expect(ring.completions().count == 4)
        #expect(ring.enter(wait: 1) == 0)
        #expect(ring.completions().map(\.userData) == [5])
    }

    @Test func theGeneratorIsTheKnownOne() {
        var random = SplitMix64(seed: 1_234_567)
        #expect(random.next() == 6_457_827_717_110_365_317)
        #expect(random.next() == 3_203_168_211_198_807_973)
        for _ in 0..<1_000 { #expect((3...5).contains(random.next(in: 3...5))) }
    }
}
