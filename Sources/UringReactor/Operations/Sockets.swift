import CLiburing
import Glibc
public import SystemPackage

/// Operations on descriptors, with callbacks. All of them:
///
/// - start with this turn's batch and call their callback once, on a later turn, never before they return;
/// - with a `timeout`, end with `ETIMEDOUT` when it has run out (the reactor keeps the time: it costs the kernel
///   nothing);
/// - end with `ECANCELED` when cancelled (``Reactor/cancel(_:)``) or when the reactor stops. A cancel can come too late:
///   then the callback gets the result;
/// - once the reactor is stopping, end at once with `ECANCELED`; only what need not wait for anybody (close, shutdown,
///   cancel, no-op, fsync) is still done;
/// - keep what they were given alive until the kernel has let go of it, whatever the caller drops;
/// - let the callback throw: the error is counted and reported (``ReactorReport/callbackThrew(_:operation:)``). The
///   descriptor stays open; it is the caller's.
///
/// Descriptors must be in blocking mode: a ring's operations wait by themselves, and one on a descriptor with O_NONBLOCK
/// fails with EAGAIN instead (Linux).
extension Reactor {
    /// Waits for one connection on a listening socket: accept(2), close-on-exec. The new descriptor is the callback's,
    /// to close, also when the operation was cancelled too late.
    @discardableResult
    public func accept(
        on socket: FileDescriptor, timeout: Duration? = nil,
        _ callback: consuming @escaping (Result<FileDescriptor, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.accept, on: socket.rawValue, timeout: timeout, .descriptor(consume callback)) { _ in }
    }

    /// Accepts connection after connection from one submission (multishot, Linux 5.19). The callback is called for each,
    /// and once with the error that ended it: `ECANCELED`, `EMFILE`, … Where the kernel ends it without an error, or
    /// because the one connection at hand was gone already (`ECONNABORTED`), the library starts it again. Each
    /// descriptor is the callback's, to close.
    @discardableResult
    public func acceptMultishot(
        on socket: FileDescriptor, _ callback: consuming @escaping (Result<FileDescriptor, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.accept, on: socket.rawValue, timeout: nil, .descriptor(consume callback)) {
            $0.flags.insert(.multishot)
        }
    }

    /// Connects a socket: connect(2). After a failure, a timeout among them, close the socket: its state is not defined.
    @discardableResult
    public func connect(
        _ socket: FileDescriptor, to address: SocketAddress, timeout: Duration? = nil,
        _ callback: consuming @escaping (Result<Void, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.connect, on: socket.rawValue, timeout: timeout, .status(consume callback)) {
            $0.attachment = SocketAddressMemory(address)
        }
    }

    /// Receives what has come, at least one byte: recv(2). No bytes at the end of what the peer sends.
    ///
    /// The bytes lie in a buffer of the reactor's; it is used again when the last slice of it is gone. A buffer is taken
    /// when the receive starts, not when something comes: many receives that wait hold as many buffers.
    ///
    /// - Parameter most: the most bytes to receive, from 1 to 2³¹ − 1. Above 16 times
    ///   ``ReactorConfiguration/receiveBufferSize`` the memory is allocated for this receive alone.
    @discardableResult
    public func receive(
        from socket: FileDescriptor, upTo most: Int = 16384, timeout: Duration? = nil,
        _ callback: consuming @escaping (Result<Bytes, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        precondition(most > 0 && most <= Int(Int32.max), "a receive of \(most) bytes")
        return registry.start(.receive, on: socket.rawValue, timeout: timeout, .bytes(consume callback)) {
            $0.attachment = core.buffers.checkOut(atLeast: most) ?? OwnBuffer(capacity: most)
            $0.arguments.tv_nsec = Int64(most)
        }
    }

    /// Sends all of `bytes`: send(2), again after short sends until nothing is left. The callback gets their number, or
    /// an error, after which a part of them may have gone out. A closed peer is `EPIPE`, never a signal
    /// (`MSG_NOSIGNAL`).
    ///
    /// One send at a time on a stream socket, or their bytes may mix: after a short send the rest of the first goes out
    /// behind the second. A ``Connection`` keeps its sends in order.
    @discardableResult
    public func send(
        _ bytes: Bytes, to socket: FileDescriptor, timeout: Duration? = nil,
        _ callback: consuming @escaping (Result<Int, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.send, on: socket.rawValue, timeout: timeout, .count(consume callback)) { $0.bytes = bytes }
    }

    /// Sends all of several pieces, in order, as if they were one: sendmsg(2). At most 1,024 go out in one call; of
    /// more, the rest follows. Otherwise as ``send(_:to:timeout:_:)-(Bytes,_,_,_)``: one send at a time on a stream
    /// socket.
    @discardableResult
    public func send(
        _ pieces: [Bytes], to socket: FileDescriptor, timeout: Duration? = nil,
        _ callback: consuming @escaping (Result<Int, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.send, on: socket.rawValue, timeout: timeout, .count(consume callback)) {
            $0.attachment = VectorBlock(holding: pieces.filter { !$0.isEmpty })
        }
    }

    /// Ends one direction of a connection, or both: shutdown(2). Operations that wait for that direction end. The kernel
    /// hands this one to a worker thread each time.
    @discardableResult
    public func shutdown(
        _ socket: FileDescriptor, _ direction: ShutdownDirection,
        _ callback: consuming @escaping (Result<Void, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.shutdown, on: socket.rawValue, timeout: nil, .status(consume callback)) {
            $0.arguments.tv_nsec = Int64(direction.number)
        }
    }

    /// Closes a descriptor: close(2).
    ///
    /// Operations on it that are in flight go on, on what is no longer in the caller's hands: shut down or cancel
    /// (``cancelAll(on:_:)``) first, and wait for their callbacks.
    @discardableResult
    public func close(
        _ descriptor: FileDescriptor, _ callback: consuming @escaping (Result<Void, IOError>) throws -> Void = { _ in }
    ) -> OperationToken {
        assertOwner()
        return registry.start(.close, on: descriptor.rawValue, timeout: nil, .status(consume callback)) { _ in }
    }

    /// Waits until a descriptor is ready: poll(2). The callback gets what it is ready for, ``PollEvents/error`` and
    /// ``PollEvents/hungUp`` included.
    @discardableResult
    public func poll(
        _ descriptor: FileDescriptor, for events: PollEvents, timeout: Duration? = nil,
        _ callback: consuming @escaping (Result<PollEvents, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.poll, on: descriptor.rawValue, timeout: timeout, .events(consume callback)) {
            $0.arguments.tv_nsec = Int64(events.rawValue)
        }
    }

    /// Calls back each time a descriptor becomes ready: edge-triggered, from one submission (multishot, Linux 5.13).
    /// Ends with the error the callback gets last.
    @discardableResult
    public func pollMultishot(
        _ descriptor: FileDescriptor, for events: PollEvents,
        _ callback: consuming @escaping (Result<PollEvents, IOError>) throws -> Void
    ) -> OperationToken {
        assertOwner()
        return registry.start(.poll, on: descriptor.rawValue, timeout: nil, .events(consume callback)) {
            $0.arguments.tv_nsec = Int64(events.rawValue)
            $0.flags.insert(.multishot)
        }
    }

    /// Does nothing in the kernel and completes. To measure, and to be called back after what was started before.
    @discardableResult
    public func nop(_ callback: consuming @escaping (Result<Void, IOError>) throws -> Void) -> OperationToken {
        assertOwner()
        return registry.start(.nop, on: -1, timeout: nil, .status(consume callback)) { _ in }
    }

    /// Asks for the end of an operation: its callback is still called, with `ECANCELED` or, if it was faster, with its
    /// result. An ``after(_:_:)`` or ``every(_:_:)`` just never fires again.
    ///
    /// - Returns: whether there was something to cancel. False, and harmless, for an operation that has ended.
    @discardableResult
    public func cancel(_ operation: OperationToken) -> Bool {
        assertOwner()
        return registry.cancel(operation)
    }

    /// Asks for the end of all operations on a descriptor, as ``cancel(_:)``; the callback gets their number, 0 if there
    /// were none (Linux 5.19). Those of other reactors are not touched. Looks at each operation of the reactor: for once a
    /// connection, not for each message. On the descriptor of a ``Connection`` use the connection's own functions instead.
    @discardableResult
    public func cancelAll(
        on descriptor: FileDescriptor, _ callback: consuming @escaping (Result<Int, IOError>) throws -> Void = { _ in }
    ) -> OperationToken {
        assertOwner()
        registry.noteCancelled(on: descriptor.rawValue)
        return registry.start(.cancel, on: descriptor.rawValue, timeout: nil, .count(consume callback)) { _ in }
    }
}
