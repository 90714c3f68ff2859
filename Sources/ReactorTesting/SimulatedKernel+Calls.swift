import Glibc
public import SystemPackage
public import UringReactor

/// The system calls beside the ring.
extension SimulatedKernel {
    // MARK: - Descriptors

    /// The open file behind a descriptor, or nil: `EBADF`.
    func file(_ descriptor: Int32) -> OpenFile? {
        let index = Int(descriptor) - Int(configuration.firstDescriptor)
        return descriptors.indices.contains(index) ? descriptors[index] : nil
    }

    var hasDescriptor: Bool {
        lowestFree < configuration.descriptorLimit
    }

    /// Gives the file the lowest free descriptor: open(2).
    func install(_ file: OpenFile) -> Int32 {
        precondition(hasDescriptor, "no descriptor is free")
        file.retain()
        let index = lowestFree
        if index == descriptors.count { descriptors.append(file) } else { descriptors[index] = file }
        lowestFree = descriptors[index...].firstIndex { $0 == nil } ?? descriptors.count
        return configuration.firstDescriptor + Int32(index)
    }

    /// close(2): 0 or an errno. The file lives on while an operation refers to it.
    func closeDescriptor(_ descriptor: Int32) -> Int32 {
        guard let file = file(descriptor) else { return EBADF }
        let index = Int(descriptor - configuration.firstDescriptor)
        descriptors[index] = nil
        lowestFree = min(lowestFree, index)
        file.drop()
        return 0
    }

    private func socket(_ descriptor: FileDescriptor) throws(Errno) -> Socket {
        guard let file = file(descriptor.rawValue) else { throw .badFileDescriptor }
        guard let socket = file as? Socket else { throw Errno(rawValue: ENOTSOCK) }
        return socket
    }

    /// Every call: an injected failure, a line in the trace, and afterwards the peers see what changed.
    func call<Result>(
        _ call: Call, _ text: @autoclosure () -> String, _ body: () throws(Errno) -> Result
    ) throws(Errno) -> Result {
        clockMayStand()
        defer { pumpPeers() }
        do throws(Errno) {
            if let errno = oneShots.takeFailure(of: call) { throw errno }
            do throws(Errno) {
                let result = try body()
                record(.call("\(call) \(text())"))
                return result
            } catch {
                // Whoever closes first and calls then meets, at another time, somebody else's descriptor.
                if error == .badFileDescriptor, configuration.rejectsLoudly {
                    violation("\(call) \(text()): that descriptor is not open")
                }
                throw error
            }
        } catch {
            record(.call("\(call) \(text()) \(SimulatedKernel.describe(-error.rawValue))"))
            throw error
        }
    }

    // MARK: - Sockets

    public func socket(_ family: AddressFamily) throws(Errno) -> FileDescriptor {
        try call(.socket, "\(family)") { () throws(Errno) -> FileDescriptor in
            guard hasDescriptor else { throw .tooManyOpenFiles }
            if case .enabled = ringState, draw(faults.socketLimit, "no descriptor for a socket") { throw .tooManyOpenFiles }
            return FileDescriptor(rawValue: install(Socket(family, kernel: self)))
        }
    }

    public func bind(_ socket: FileDescriptor, to address: SocketAddress) throws(Errno) {
        try call(.bind, "fd \(socket.rawValue) to \(address)") { () throws(Errno) in
            try bindSocket(self.socket(socket), to: address)
        }
    }

    public func listen(_ socket: FileDescriptor, backlog: Int) throws(Errno) {
        try call(.listen, "fd \(socket.rawValue) backlog \(backlog)") { () throws(Errno) in
            let socket = try self.socket(socket)
            switch socket.state {
            case .idle, .listening: break
            case .connecting, .connected: throw .invalidArgument
            }
            if socket.localAddress == nil {
                // inet_csk_listen_start chooses a port; unix_listen wants an address.
                guard socket.family != .unix else { throw .invalidArgument }
                try bindSocket(socket, to: socket.family == .ipv4 ? .any() : .anyV6())
            }
            // Two sockets may be bound to one address with SO_REUSEADDR; only one of them may listen.
            let others = socket.localAddress?.port.flatMap { bindings.ports[$0] } ?? []
            for other in others where other !== socket && other.isListening && other.localAddress == socket.localAddress {
                guard socket.options[.reusePort] ?? 0 != 0, other.options[.reusePort] ?? 0 != 0 else { throw .addressInUse }
            }
            socket.listen(backlog: backlog)
        }
    }

    public func setOption(_ option: SocketOption, to value: Int, on socket: FileDescriptor) throws(Errno) {
        try call(.setOption, "\(option.level),\(option.name) to \(value) on fd \(socket.rawValue)") { () throws(Errno) in
            let socket = try self.socket(socket)
            if option.level == Int32(IPPROTO_TCP), socket.family == .unix { throw Errno(rawValue: EOPNOTSUPP) }
            if option == .ipv6Only, socket.family != .ipv6 { throw Errno(rawValue: ENOPROTOOPT) }
            socket.options[option] = value
        }
    }

    public func localAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress {
        try call(.localAddress, "fd \(socket.rawValue)") { () throws(Errno) -> SocketAddress in
            let socket = try self.socket(socket)
            if let address = socket.localAddress { return address }
            switch socket.family {
            case .ipv4: return .any()
            case .ipv6: return .anyV6()
            case .unix: return AddressCoding.unnamed
            }
        }
    }

    public func remoteAddress(of socket: FileDescriptor) throws(Errno) -> SocketAddress {
        try call(.remoteAddress, "fd \(socket.rawValue)") { () throws(Errno) -> SocketAddress in
            let socket = try self.socket(socket)
            guard let endpoint = socket.endpoint, let address = socket.remoteAddress else { throw .socketNotConnected }
            // inet_getname: a connection that is over has no peer. A Unix one keeps its.
            guard endpoint.transport == .unix || !endpoint.isDead else { throw .socketNotConnected }
            return address
        }
    }

    public func unacknowledgedBytes(of socket: FileDescriptor) throws(Errno) -> Int {
        try call(.unacknowledgedBytes, "fd \(socket.rawValue)") { () throws(Errno) -> Int in
            guard let file = file(socket.rawValue) else { throw .badFileDescriptor }
            guard let socket = file as? Socket else { throw Errno(rawValue: ENOTTY) }
            // tcp_ioctl; unix_outq_len does not mind.
            guard !socket.isListening || socket.transport == .unix else { throw .invalidArgument }
            return socket.endpoint?.unacknowledged ?? 0
        }
    }

    public func resetWhenClosed(_ socket: FileDescriptor) throws(Errno) {
        try call(.setOption, "no linger on fd \(socket.rawValue)") { () throws(Errno) in
            try self.socket(socket).resetsWhenClosed = true
        }
    }

    public func shutdown(_ socket: FileDescriptor, _ direction: ShutdownDirection) throws(Errno) {
        try call(.shutdown, "fd \(socket.rawValue) \(direction)") { () throws(Errno) in
            let errno = shutdown(file(socket.rawValue), direction.number)
            guard errno == 0 else { throw Errno(rawValue: errno) }
        }
    }

    public func close(_ descriptor: FileDescriptor) {
        clockMayStand()
        let errno = closeDescriptor(descriptor.rawValue)
        record(.call("close fd \(descriptor.rawValue) \(SimulatedKernel.describe(-errno))"))
        if errno != 0 { violation("close(\(descriptor.rawValue)): that descriptor is not open") }
        pumpPeers()
    }

    public func unlink(_ path: String) throws(Errno) {
        try call(.unlink, path) { () throws(Errno) in
            if fileSystem.exists(path) { fileSystem.remove(path) }
        }
    }

    // MARK: - The waker

    public func makeWaker() throws(RingUnavailable) -> any Waker {
        do {
            return try makeSimulatedWaker()
        } catch {
            throw unavailable(error)
        }
    }

    private func makeSimulatedWaker() throws(Errno) -> any Waker {
        guard let ring else { throw .badFileDescriptor }
        precondition(waker == nil, "makeWaker() is called once")
        return try call(.makeWaker, "") { () throws(Errno) -> SimulatedWaker in
            guard hasDescriptor else { throw .tooManyOpenFiles }
            let descriptor = FileDescriptor(rawValue: install(EventFile(kernel: self)))
            let waker = SimulatedWaker(descriptor: descriptor, ring: ring, kernel: self)
            self.waker = waker
            return waker
        }
    }

    func closeWaker(_ waker: SimulatedWaker) {
        close(waker.descriptor)
        self.waker = nil
    }
}
