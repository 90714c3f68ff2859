import Glibc

/// Who holds an end of a connection and wants to know of changes: a socket of the library, or a peer of a test.
protocol EndpointOwner: AnyObject {
    func endpointChanged(_ changes: Readiness)
}

/// One end of an established connection, as net/ipv4/tcp.c or net/unix/af_unix.c would have it.
final class Endpoint {
    enum Transport {
        case tcp
        case unix
    }

    enum End {
        /// No end of the peer's bytes has been seen.
        case none
        /// The peer ended its side: what is buffered, and then the end.
        case seen
    }

    let transport: Transport
    /// What has arrived here.
    private(set) var incoming: ByteStream
    /// The other end. The two keep each other until both were released.
    private(set) var peer: Endpoint?
    weak var owner: (any EndpointOwner)?

    /// Lets go of the other end, and makes it let go of this one.
    func sever() {
        peer?.peer = nil
        peer = nil
    }

    private let sendCapacity: Int
    private let receiveCapacity: Int
    /// `sk_err`: reported once.
    private(set) var pendingError: Int32 = 0
    /// FIN: `SOCK_DONE`.
    private(set) var end = End.none
    /// `RCV_SHUTDOWN`, `SEND_SHUTDOWN`.
    private(set) var receiveShut = false
    private(set) var sendShut = false
    /// `TCP_CLOSE`: reset, or both sides have ended. The connection is no more, only its bytes are left.
    private(set) var isDead = false
    /// The application has let go of this end.
    private(set) var isReleased = false

    private init(_ transport: Transport, sendCapacity: Int, receiveCapacity: Int, peerSendCapacity: Int) {
        self.transport = transport
        self.sendCapacity = sendCapacity
        self.receiveCapacity = receiveCapacity
        incoming = ByteStream(capacity: receiveCapacity + peerSendCapacity)
    }

    struct Capacities {
        var send: Int
        var receive: Int
    }

    /// A connection: two ends that know each other.
    static func pair(_ transport: Transport, _ first: Capacities, _ second: Capacities) -> (Endpoint, Endpoint) {
        let one = Endpoint(
            transport, sendCapacity: first.send, receiveCapacity: first.receive, peerSendCapacity: second.send)
        let other = Endpoint(
            transport, sendCapacity: second.send, receiveCapacity: second.receive, peerSendCapacity: first.send)
        one.peer = other
        other.peer = one
        return (one, other)
    }

    // MARK: - Receiving

    enum Received {
        case bytes
        case end
        case failure(Int32)
        case nothing
    }

    /// What a receive would find now. A failure is taken, as `sock_error` does: it is reported once.
    func pollReceive() -> Received {
        if incoming.count > 0 { return .bytes }
        switch transport {
        case .tcp:
            if end == .seen { return .end }
            if pendingError != 0 { return .failure(takeError()) }
        case .unix:
            if pendingError != 0 { return .failure(takeError()) }
        }
        return receiveShut ? .end : .nothing
    }

    func consume(_ length: Int) {
        let wasWritable = peer?.isWritable ?? false
        incoming.removeFirst(length)
        if !wasWritable, peer?.isWritable ?? false { peer?.owner?.endpointChanged(.writable) }
    }

    // MARK: - Sending

    enum Sent {
        /// So many bytes fit; more than none.
        case room(Int)
        case failure(Int32)
        case full
    }

    /// What a send would find now. A failure is taken.
    func pollSend() -> Sent {
        switch transport {
        case .tcp:
            if pendingError != 0 { return .failure(takeError()) }
            if sendShut { return .failure(EPIPE) }
        case .unix:
            // unix_stream_sendmsg leaves the pending error to the receiver.
            if sendShut { return .failure(EPIPE) }
        }
        guard let peer else { return .failure(EPIPE) }
        // Nobody reads at a released end: it answers with a reset, but only to what it was sent.
        if peer.isReleased { return .room(.max) }
        return peer.incoming.room > 0 ? .room(peer.incoming.room) : .full
    }

    /// Linux calls a socket that was full writable again only when a good part of its buffer is free: a third for TCP
    /// (`sk_stream_is_writeable`), three quarters for Unix sockets (`unix_writable`). There it is a part of the sender's
    /// buffer; here of both ends' together, for they are one.
    private var isWritable: Bool {
        guard let stream = peer?.incoming, stream.room > 0 else { return false }
        return switch transport {
        case .tcp: stream.room * 3 >= stream.capacity
        case .unix: stream.count * 4 <= stream.capacity
        }
    }

    // MARK: - What the peer has read

    /// Bytes that were sent and not read yet. A peer acknowledges what it reads; Linux does when it has the bytes in the
    /// peer's buffer.
    var unacknowledged: Int {
        guard let peer, !isDead, !peer.isReleased else { return 0 }
        return peer.incoming.count
    }

    /// Where the next byte sent will be, counted from the first.
    var sendPosition: UInt64 { peer?.incoming.position ?? 0 }

    /// Whether nobody needs the bytes before `position` any more: they were read, or the connection is no more.
    func isAcknowledged(_ position: UInt64) -> Bool {
        guard let peer, !isDead, !peer.isDead, !peer.isReleased else { return true }
        return peer.incoming.position - UInt64(peer.incoming.count) >= position
    }

    /// Sends `bytes`, for which ``pollSend()`` found room.
    func send(_ bytes: some Collection<UInt8>) {
        guard let peer, !bytes.isEmpty else { return }
        if peer.isReleased {
            receiveReset()
            return
        }
        peer.incoming.append(bytes)
        peer.owner?.endpointChanged(.readable)
    }

    // MARK: - Ends

    /// shutdown(2). `ENOTCONN` once a TCP connection is no more.
    func shutdown(receiving: Bool, sending: Bool) -> Int32 {
        // A Unix socket stays TCP_ESTABLISHED.
        if isDead { return transport == .tcp ? ENOTCONN : 0 }
        if receiving {
            receiveShut = true
            if transport == .unix { peer?.peerStopsSending() }
        }
        if sending, !sendShut {
            sendShut = true
            peer?.receiveEnd()
            if transport == .tcp, end == .seen { die() }
        }
        var changes: Readiness = []
        if receiving { changes.formUnion([.readable, .peerHangUp]) }
        if sending { changes.formUnion(.writable) }
        if receiveShut && sendShut { changes.insert(.hangUp) }
        owner?.endpointChanged(changes)
        return 0
    }

    /// The application lets go. Unread bytes turn the end into a reset: RFC 2525, section 2.17, and tcp_close().
    func release() {
        guard !isReleased else { return }
        isReleased = true
        owner = nil
        defer { forgetPeer() }
        guard !isDead else { return }
        switch transport {
        case .tcp where incoming.count > 0:
            isDead = true
            peer?.receiveReset()
        case .tcp:
            if !sendShut {
                sendShut = true
                peer?.receiveEnd()
            }
        case .unix:
            isDead = true
            peer?.receiveUnixClose(unread: incoming.count > 0)
        }
    }

    /// Sends a reset, whatever is buffered, and lets go: `SO_LINGER` with a time of 0.
    func abort() {
        guard !isReleased else { return }
        isReleased = true
        owner = nil
        defer { forgetPeer() }
        guard !isDead else { return }
        isDead = true
        peer?.receiveReset()
    }

    private func forgetPeer() {
        guard let peer, peer.isReleased else { return }
        peer.peer = nil
        self.peer = nil
    }

    /// How the network breaks a connection.
    enum Break {
        case reset
        /// Nothing arrives any more, and both ends give up.
        case timeout
        /// This end gives up. The other one asks later, and is answered with a reset.
        case timeoutAndReset
    }

    /// The network breaks the connection, for both ends.
    func breakConnection(_ way: Break = .reset) {
        switch way {
        case .reset:
            peer?.receiveReset()
            receiveReset()
        case .timeout:
            peer?.fail(ETIMEDOUT)
            fail(ETIMEDOUT)
        case .timeoutAndReset:
            fail(ETIMEDOUT)
            peer?.receiveReset()
        }
    }

    /// Whether somebody would notice.
    var canBreak: Bool {
        guard let peer else { return false }
        return !(isDead && peer.isDead) && !(isReleased && peer.isReleased)
    }

    /// FIN.
    private func receiveEnd() {
        guard end == .none, !isDead else { return }
        end = .seen
        receiveShut = true
        if transport == .tcp, sendShut { die() }
        var changes: Readiness = [.readable, .peerHangUp]
        if sendShut { changes.insert(.hangUp) }
        owner?.endpointChanged(changes)
    }

    /// RST: tcp_reset(). What was not sent is gone.
    func receiveReset() {
        fail()
    }

    /// `sk_err` is set, and the connection is no more: tcp_reset() unless it is another errno's doing. What was received
    /// stays readable.
    private func fail(_ errno: Int32? = nil) {
        guard !isDead else { return }
        // The end was behind the bytes that had not arrived: nobody will see it.
        if incoming.count > receiveCapacity { end = .none }
        pendingError = errno ?? (end == .seen && !sendShut ? EPIPE : ECONNRESET)
        incoming.truncate(to: receiveCapacity)
        die()
        owner?.endpointChanged([.readable, .writable, .error, .hangUp, .peerHangUp])
    }

    /// unix_release_sock(): the other end sees both of its halves shut.
    private func receiveUnixClose(unread: Bool) {
        guard !isDead else { return }
        if unread { pendingError = ECONNRESET }
        die()
        var changes: Readiness = [.readable, .writable, .hangUp, .peerHangUp]
        if unread { changes.insert(.error) }
        owner?.endpointChanged(changes)
    }

    private func peerStopsSending() {
        sendShut = true
        owner?.endpointChanged(.writable)
    }

    private func die() {
        isDead = true
        receiveShut = true
        sendShut = true
    }

    private func takeError() -> Int32 {
        defer { pendingError = 0 }
        return pendingError
    }

    // MARK: - poll(2)

    /// tcp_poll().
    var readiness: Readiness {
        var mask: Readiness = []
        if receiveShut && sendShut { mask.insert(.hangUp) }
        if receiveShut { mask.formUnion([.readable, .peerHangUp]) }
        if incoming.count > 0 { mask.formUnion(.readable) }
        if sendShut || peer?.isReleased ?? true || isWritable { mask.formUnion(.writable) }
        if pendingError != 0 { mask.insert(.error) }
        return mask
    }
}
