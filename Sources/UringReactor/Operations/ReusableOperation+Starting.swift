import CLiburing
public import SystemPackage

/// What can be started with a ``ReusableOperation``: the same as with callbacks, see there for each. Nothing may be in
/// flight of it. From within the loop only: handlers and callbacks.
extension ReusableOperation {
    /// ``Reactor/nop(_:)``. ``OperationEvent/completed``.
    public func nop() { start(.nop) }

    /// ``Reactor/accept(on:timeout:_:)``. ``OperationEvent/descriptor(_:)``.
    public func accept(on socket: FileDescriptor) { start(.accept, on: socket.rawValue) }

    /// ``Reactor/acceptMultishot(on:_:)``: an ``OperationEvent/descriptor(_:)`` for each, until it is cancelled.
    public func acceptMultishot(on socket: FileDescriptor) {
        start(.accept, on: socket.rawValue) { $0.flags.insert(.multishot) }
    }

    /// ``Reactor/connect(_:to:timeout:_:)``. ``OperationEvent/completed``.
    public func connect(_ socket: FileDescriptor, to address: SocketAddress) {
        start(.connect, on: socket.rawValue) { $0.attachment = SocketAddressMemory(address) }
    }

    /// ``Reactor/receive(from:upTo:timeout:_:)``. ``OperationEvent/bytes(_:)``.
    public func receive(from socket: FileDescriptor, upTo most: Int = 16384) {
        precondition(most > 0 && most <= Int(Int32.max), "a receive of \(most) bytes")
        use { registry in
            registry.start(self, .receive, on: socket.rawValue) {
                $0.attachment = registry.core.buffers.checkOut(atLeast: most) ?? OwnBuffer(capacity: most)
                $0.arguments.tv_nsec = Int64(most)
            }
        }
    }

    /// ``Reactor/send(_:to:timeout:_:)-(Bytes,_,_,_)``. ``OperationEvent/count(_:)``.
    public func send(_ bytes: Bytes, to socket: FileDescriptor) {
        start(.send, on: socket.rawValue) { $0.bytes = bytes }
    }

    /// ``Reactor/send(_:to:timeout:_:)-([Bytes],_,_,_)``. ``OperationEvent/count(_:)``.
    public func send(_ pieces: [Bytes], to socket: FileDescriptor) {
        start(.send, on: socket.rawValue) {
            $0.attachment = VectorBlock(holding: pieces.filter { !$0.isEmpty })
        }
    }

    /// ``Reactor/shutdown(_:_:_:)``. ``OperationEvent/completed``.
    public func shutdown(_ socket: FileDescriptor, _ direction: ShutdownDirection) {
        start(.shutdown, on: socket.rawValue) { $0.arguments.tv_nsec = Int64(direction.number) }
    }

    /// ``Reactor/close(_:_:)``. ``OperationEvent/completed``.
    public func close(_ descriptor: FileDescriptor) { start(.close, on: descriptor.rawValue) }

    /// ``Reactor/poll(_:for:timeout:_:)``. ``OperationEvent/events(_:)``.
    public func poll(_ descriptor: FileDescriptor, for events: PollEvents) {
        start(.poll, on: descriptor.rawValue) { $0.arguments.tv_nsec = Int64(events.rawValue) }
    }

    /// ``Reactor/pollMultishot(_:for:_:)``: an ``OperationEvent/events(_:)`` each time, until it is cancelled.
    public func pollMultishot(_ descriptor: FileDescriptor, for events: PollEvents) {
        start(.poll, on: descriptor.rawValue) {
            $0.arguments.tv_nsec = Int64(events.rawValue)
            $0.flags.insert(.multishot)
        }
    }

    /// ``Reactor/timeout(after:_:)``. ``OperationEvent/completed`` when the time is over.
    public func timeout(after delay: Duration) {
        start(.timeout) { $0.arguments = __kernel_timespec(nanoseconds: delay.nanoseconds) }
    }

    /// ``Reactor/open(_:_:options:permissions:timeout:_:)``. ``OperationEvent/descriptor(_:)``.
    public func open(
        _ path: FilePath, _ mode: FileDescriptor.AccessMode, options: FileDescriptor.OpenOptions = [],
        permissions: FilePermissions = [.ownerReadWrite, .groupRead, .otherRead]
    ) {
        start(.open) {
            $0.attachment = PathMemory(path)
            $0.arguments.tv_sec = Int64(mode.rawValue | options.union(.closeOnExec).rawValue)
            $0.arguments.tv_nsec = Int64(permissions.rawValue)
        }
    }

    /// ``Reactor/read(from:at:upTo:timeout:_:)``. ``OperationEvent/bytes(_:)``.
    public func read(from file: FileDescriptor, at offset: Int64? = nil, upTo most: Int) {
        precondition(most > 0 && most <= Int(Int32.max), "a read of \(most) bytes")
        start(.read, on: file.rawValue) {
            $0.attachment = OwnBuffer(capacity: most)
            $0.arguments.tv_sec = offset ?? -1
            $0.arguments.tv_nsec = Int64(most)
        }
    }

    /// ``Reactor/write(_:to:at:timeout:_:)``. ``OperationEvent/count(_:)``.
    public func write(_ bytes: Bytes, to file: FileDescriptor, at offset: Int64? = nil) {
        start(.write, on: file.rawValue) {
            $0.bytes = bytes
            $0.arguments.tv_sec = offset ?? -1
        }
    }

    /// ``Reactor/fsync(_:dataOnly:timeout:_:)``. ``OperationEvent/completed``.
    public func fsync(_ file: FileDescriptor, dataOnly: Bool = false) {
        start(.fsync, on: file.rawValue) {
            $0.arguments.tv_nsec = dataOnly ? Int64(IORING_FSYNC_DATASYNC) : 0
        }
    }

    /// ``Reactor/size(of:timeout:_:)``. ``OperationEvent/count(_:)``.
    public func size(of file: FileDescriptor) {
        start(.fileSize, on: file.rawValue) { $0.attachment = FileStatus() }
    }
}
