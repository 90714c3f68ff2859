/// What a kernel offers beyond the floor of the library, Linux 6.1. Found by trying, never by a version number:
/// distributions carry features back, and a seccomp profile can take them away.
public struct Capabilities: Sendable, Equatable {
    /// A timeout that fires again and again from one submission (Linux 6.4). Without it, ``Reactor/every(_:_:)`` keeps
    /// the time itself.
    public var multishotTimeout: Bool

    /// Receives that go on and on from one submission, each into a buffer that the kernel picks from a ring of them when
    /// something has come (Linux 6.0). Without it a connection that waits holds a buffer of its own.
    public var multishotReceive: Bool
    /// Sends whose bytes the kernel reads where they are, and says when it has let go of them (Linux 6.0).
    public var zeroCopySend: Bool

    /// What a kernel says of itself.
    public init(multishotTimeout: Bool, multishotReceive: Bool = false, zeroCopySend: Bool = false) {
        self.multishotTimeout = multishotTimeout
        self.multishotReceive = multishotReceive
        self.zeroCopySend = zeroCopySend
    }
}
