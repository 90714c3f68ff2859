import Glibc
import ReactorTesting
import SystemPackage
import Testing
import UringReactor

/// Connections that receive into provided buffers and send without copies, whatever goes wrong.
@Suite struct BufferFaultTests {
    private static let text = String((0..<400).map { Character(UnicodeScalar(UInt8(97 + $0 % 26))) })

    /// A program over the ring that does it right: each connection receives until the end, and sends all of the text.
    private final class Program {
        struct Connection {
            let socket: FileDescriptor
            var received = ""
            /// Each send has memory of its own, which is not used again before the notification.
            var sent = 0
            var notifications = 0
            var receives = true
            var sends = true
        }

        let kernel: SimulatedKernel
        let ring: TestRing
        let buffers: TestBuffers
        let listener: FileDescriptor
        var connections: [Connection] = []
        /// Those that were gone when they should have been accepted.
        var gone = 0
        var ends: [String] = []
        /// Receives that found no buffer.
        var starved: [Int] = []

        init(_ kernel: SimulatedKernel) throws {
            self.kernel = kernel
            ring = try TestRing(kernel, entries: 8, completions: 8)
            buffers = try ring.buffers(count: 4, size: 16)
            listener = try ring.listener(.loopback(port: 7)).0
            ring.accept(1, listener, multishot: true)
        }

        func flush() {
            while ring.queued > 4 { check(ring.enter()) }
        }

        func check(_ status: Int32) {
            precondition(status >= 0 || [-EINTR, -EAGAIN, -EBUSY].contains(status), "enter \(status)")
        }

        func send(_ index: Int) {
            let rest = ring.buffer(String(text.dropFirst(connections[index].sent)))
            ring.sendZeroCopy(UInt64(200 + index), connections[index].socket, rest, flags: Int32(MSG_DONTWAIT))
        }

        func stop(_ index: Int, _ reason: String) {
            ends.append("\(index) \(reason)")
            try? kernel.shutdown(connections[index].socket, .both)
        }

        func accepted(_ completion: TestRing.Completion) {
            if completion.result >= 0 {
                connections.append(Connection(socket: FileDescriptor(rawValue: completion.result)))
                ring.receive(UInt64(99 + connections.count), connections[connections.count - 1].socket)
                send(connections.count - 1)
            }
            if completion.result == -ECONNABORTED { gone += 1 }
            if !completion.hasMore { ring.accept(1, listener, multishot: true) }
        }

        func received(_ index: Int, _ completion: TestRing.Completion) {
            // First what it brings, then whether more will come: trap 9.
            connections[index].received += buffers.text(completion)
            #expect(text.hasPrefix(connections[index].received))
            if let number = completion.buffer {
                buffers.provide(number)
                for other in starved { ring.receive(UInt64(100 + other), connections[other].socket) }
                starved = []
            }
            guard !completion.hasMore else { return }
            if completion.result == -ENOBUFS, kernel.providedBuffers(ofGroup: 0).isEmpty {
                starved.append(index)
            } else if completion.result > 0 || completion.result == -ENOBUFS {
                ring.receive(UInt64(100 + index), connections[index].socket)
            } else {
                connections[index].receives = false
                if completion.result == 0 { ends.append("\(index) received") } else { stop(index, "failed to receive") }
            }
        }

        func sent(_ index: Int, _ completion: TestRing.Completion) {
            if completion.isNotification {
                connections[index].notifications -= 1
                return
            }
            if completion.hasMore { connections[index].notifications += 1 }
            if completion.result > 0 {
                connections[index].sent += Int(completion.result)
                if connections[index].sent < text.utf8.count { return send(index) }
                ends.append("\(index) sent")
                try? kernel.shutdown(connections[index].socket, .sending)
            } else if completion.result == -EAGAIN {
                return ring.poll(UInt64(300 + index), connections[index].socket, 4)
            } else {
                stop(index, "failed to send")
            }
            connections[index].sends = false
        }

        func run(clients: Int) {
            var rounds = 0
            func isBusy(_ connection: Connection) -> Bool {
                connection.receives || connection.sends || connection.notifications > 0
            }
            while connections.count + gone < clients || connections.contains(where: isBusy) {
                rounds += 1
                precondition(rounds < 100_000, "no progress\n\(kernel.state)")
                check(ring.enter(wait: 1))
                for completion in ring.completions() {
                    let index = Int(completion.userData % 100)
                    switch completion.userData {
                    case 1: accepted(completion)
                    case 100..<200: received(index, completion)
                    case 200..<300: sent(index, completion)
                    default: send(index)
                    }
                    flush()
                }
            }
        }

        func close() {
            for connection in connections { kernel.close(connection.socket) }
            while kernel.inFlightCount > 0 || ring.queued > 0 {
                if kernel.inFlight.map(\.userData) == [1], ring.queued == 0 { ring.cancel(2, target: 1) }
                check(ring.enter(wait: 1))
                for completion in ring.completions() where completion.userData == 1 && completion.result >= 0 {
                    kernel.close(FileDescriptor(rawValue: completion.result))
                }
            }
            kernel.close(listener)
            #expect(kernel.openDescriptors == 0)
            // Each buffer came back, and was provided again.
            #expect(kernel.providedBuffers(ofGroup: 0).count == 4)
            kernel.unregisterBufferRing(group: 0)
            kernel.close()
        }
    }

    private func run(seed: UInt64, plan: FaultPlan) throws -> (trace: [TraceEvent], ends: [String]) {
        var configuration = SimulatedKernel.Configuration()
        configuration.faults = plan
        // The program makes its listener on a ring that runs, and is at a loss without.
        configuration.faults.socketLimit = 0
        configuration.traceLimit = 1 << 20
        configuration.sendBuffer = 64
        configuration.receiveBuffer = 64
        let kernel = SimulatedKernel(seed: seed, configuration: configuration)
        // It asks again at once for what was not there.
        kernel.spinLimit = .max
        let program = try Program(kernel)
        let peers = try (0..<3).map { number in
            let peer = try kernel.connect(to: .loopback(port: 7))
            peer.pauseReading()
            kernel.schedule(after: .microseconds(number)) {
                peer.send(Bytes(Self.text))
                peer.shutdown()
            }
            kernel.schedule(after: .milliseconds(number)) { peer.resumeReading() }
            return peer
        }
        program.run(clients: 3)
        for (peer, connection) in zip(peers, program.connections) where peer.state == .open {
            #expect(Self.text.hasPrefix(String(peer.received)))
            if plan == .none { #expect(connection.received == Self.text) }
        }
        program.close()
        return (kernel.trace, program.ends.sorted())
    }

    @Test func allArrivesWhenNothingGoesWrong() throws {
        let (_, ends) = try run(seed: 1, plan: .none)
        #expect(ends == ["0 received", "0 sent", "1 received", "1 sent", "2 received", "2 sent"])
    }

    @Test func streamsStayInOrderWhateverGoesWrong() throws {
        var faults: Set<String> = []
        for seed in UInt64(0)..<100 {
            for event in try run(seed: seed, plan: .nasty(seed: seed)).trace {
                if case .fault(let name) = event.step { faults.insert(name) }
            }
        }
        #expect(faults.isSuperset(of: [
            "no buffers", "multishot ends", "no room after all", "late notification", "failure without a notification",
            "short recv", "short send_zc", "late completion", "connection reset", "lost cancel",
        ]))
    }

    @Test func theSameSeedGivesTheSameTrace() throws {
        for seed in UInt64(1)...10 {
            #expect(try run(seed: seed, plan: .nasty(seed: seed)).trace == run(seed: seed, plan: .nasty(seed: seed)).trace)
        }
    }
}
