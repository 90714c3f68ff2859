import Glibc
import ReactorTesting
import SystemPackage
import UringReactor

/// Linux, and its loopback. Nothing is made to fail here, but buffers are small and nobody knows what comes first.
///
/// Far ends are looked at by a timer of the reactor's: they share its thread, so that scripts need no locks.
final class LinuxWorld: World {
    let reactor: Reactor
    private(set) var failures: [String] = []
    private let kernel = IOUringKernel()
    private let socketsBefore: Int
    private let buffers: Buffers
    private var ends: [LinuxFarEnd] = []
    /// Moves of far ends that are no more.
    private var pastMoves: UInt64 = 0
    private var listeners: [Listener] = []
    private var stepsDue = 0

    private var isStill: () -> Bool = { true }
    private var onStandstill: () -> Bool = { false }
    private var pause = LinuxWorld.shortestPause
    private var motion = Motion()
    private var lastMotion: UInt64 = 0
    private var quietLooks = 0

    /// Between two looks: short while something happens.
    private static let shortestPause = Duration.microseconds(50)
    private static let longestPause = Duration.milliseconds(2)
    private static let looksOfStandstill = 3
    /// Nothing has moved for so long: nothing will. The kernel's own timers (retransmissions, probes of a closed window)
    /// are a matter of a second, and a slow machine does a little at least.
    private static let farTooLong: UInt64 = 30_000_000_000

    private struct Listener {
        let socket: FileDescriptor
        let onAccept: (any FarEnd) -> Void
    }

    /// What changes when anything happens.
    private struct Motion: Equatable {
        var received: UInt64 = 0
        var sent: UInt64 = 0
        var opened: UInt64 = 0
        var open = 0
        var servers = 0
        var starts: [UInt64] = []
        var ends: [UInt64] = []
        var farEnds: UInt64 = 0
    }

    /// Sizes of the sockets' buffers, nil for what Linux thinks best.
    struct Buffers {
        var server: [SocketOption: Int] = [:]
        var farEnd: [SocketOption: Int] = [:]

        /// Not smaller: a few of the kernel's packets fit at least, so that the window opens without a probe after
        /// 200 ms (tcp(7) has room for the packets' administration in the same buffer).
        init(drawnFrom random: inout SplitMix64) {
            for option in [SocketOption.sendBuffer, .receiveBuffer] {
                if let size = Workload.pick([nil, 4_096, 8_192, 32_768], &random) { server[option] = size }
                if let size = Workload.pick([nil, 4_096, 8_192, 32_768], &random) { farEnd[option] = size }
            }
        }
    }

    init(reactor configuration: ReactorConfiguration, buffers: Buffers) throws {
        self.buffers = buffers
        socketsBefore = LinuxWorld.openSockets()
        reactor = try Reactor(configuration: configuration)
    }

    func now() -> UInt64 { kernel.now() }

    func schedule(after delay: Duration, _ step: @escaping () -> Void) {
        stepsDue += 1
        reactor.after(delay) { [unowned self] in
            stepsDue -= 1
            step()
        }
    }

    func connect(to address: SocketAddress) throws -> any FarEnd {
        let socket = try kernel.socket(address.family)
        do {
            for (option, value) in buffers.farEnd { try kernel.setOption(option, to: value, on: socket) }
            // Over loopback it waits for nobody, as long as there is room in the backlog.
            guard unsafe address.withSockaddr({ unsafe Glibc.connect(socket.rawValue, $0, $1) }) == 0 else {
                throw Errno(rawValue: errno)
            }
            return try add(socket)
        } catch {
            kernel.close(socket)
            throw error
        }
    }

    func listen(onAccept: @escaping (any FarEnd) -> Void) throws -> SocketAddress {
        let socket = try kernel.socket(.ipv4)
        listeners.append(Listener(socket: socket, onAccept: onAccept))
        // What is accepted inherits them.
        for (option, value) in buffers.farEnd { try kernel.setOption(option, to: value, on: socket) }
        try kernel.bind(socket, to: .loopback())
        try kernel.listen(socket, backlog: 128)
        _ = fcntl(socket.rawValue, F_SETFL, O_NONBLOCK)
        return try kernel.localAddress(of: socket)
    }

    private func add(_ socket: FileDescriptor) throws -> LinuxFarEnd {
        let (local, remote) = (try kernel.localAddress(of: socket), try kernel.remoteAddress(of: socket))
        if local.family != .unix { try kernel.setOption(.noDelay, to: 1, on: socket) }
        let end = LinuxFarEnd(socket, local: local, remote: remote)
        ends.append(end)
        return end
    }

    /// The time passes: servers must not wait for those that have vanished as long as they would.
    func fit(_ configuration: inout ServerConfiguration) {
        configuration.drainTimeout = min(configuration.drainTimeout, .milliseconds(50))
        configuration.socketOptions.merge(buffers.server) { chosen, _ in chosen }
    }

    // MARK: - Running

    func run(isStill: @escaping () -> Bool, onStandstill: @escaping () -> Bool) throws {
        (self.isStill, self.onStandstill) = (isStill, onStandstill)
        lastMotion = now()
        lookLater()
        try reactor.run()
        (self.isStill, self.onStandstill) = ({ true }, { false })
    }

    func expectEnd() {}

    private func lookLater() { reactor.after(pause) { [unowned self] in look() } }

    /// Lets the far ends do what they can, and finds out whether anything happens still.
    private func look() {
        defer { lookLater() }
        accept()
        for end in ends {
            end.pump()
            if !end.isOpen { pastMoves += end.moves }
        }
        ends.removeAll { !$0.isOpen }
        let (motion, now) = (currentMotion, now())
        if motion != self.motion || stepsDue > 0 {
            if motion != self.motion { pause = LinuxWorld.shortestPause }
            (self.motion, lastMotion, quietLooks) = (motion, now, 0)
        } else if pause >= LinuxWorld.longestPause {
            quietLooks += 1
        }
        pause = min(pause * 2, LinuxWorld.longestPause)
        guard quietLooks >= LinuxWorld.looksOfStandstill else { return }
        guard isStill() || now - lastMotion > LinuxWorld.farTooLong else { return }
        (lastMotion, quietLooks) = (now, 0)
        if !onStandstill() {
            failures.append("it did not end\n\(state)")
            reactor.stop()
        }
    }

    private func accept() {
        for listener in listeners {
            while case let number = Glibc.accept(listener.socket.rawValue, nil, nil), number >= 0 {
                let socket = FileDescriptor(rawValue: number)
                // Who has gone before it was accepted has no address.
                guard let end = try? add(socket) else {
                    kernel.close(socket)
                    continue
                }
                listener.onAccept(end)
            }
        }
    }

    private var currentMotion: Motion {
        let statistics = reactor.statistics
        let kinds: [OperationKind] = [.accept, .connect, .receive, .send, .close, .cancel]
        return Motion(
            received: statistics.bytesReceived, sent: statistics.bytesSent, opened: statistics.connectionsOpened,
            open: statistics.connections, servers: statistics.servers,
            starts: kinds.map { statistics.startedByKind[$0] }, ends: kinds.map { statistics.completedByKind[$0] },
            farEnds: ends.reduce(pastMoves) { $0 + $1.moves })
    }

    // MARK: - For messages, and the end

    var state: String {
        let far = ends.map {
            "\($0.localAddress) to \($0.remoteAddress): saw the end \($0.sawEnd), \($0.unsent) bytes unsent"
        }
        return "far ends:\n\(far.joined(separator: "\n"))\n\(reactor.statistics)"
    }

    /// Sockets only, and those of the whole process: it is to have no others that come and go.
    func leftovers() -> [String] {
        for end in ends {
            end.endScript()
            end.close()
        }
        for listener in listeners { kernel.close(listener.socket) }
        (ends, listeners) = ([], [])
        let left = LinuxWorld.openSockets() - socketsBefore
        return left == 0 ? [] : ["\(left) sockets are left"]
    }

    func connectionLeftovers() -> [String] { [] }

    private static func openSockets() -> Int {
        guard let folder = unsafe opendir("/proc/self/fd") else { return 0 }
        defer { unsafe closedir(folder) }
        var count = 0
        while let entry = unsafe readdir(folder) {
            let number = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe Int32(String(cString: $0)) }
            }
            var status = stat()
            if let number, unsafe fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { count += 1 }
        }
        return count
    }
}
