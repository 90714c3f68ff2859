/// What a kernel offers beyond the floor of the library, Linux 6.1. Found by trying, never by a version number:
/// distributions carry features back, and a seccomp profile can take them away.
public struct Capabilities: Sendable, Equatable {
    /// A timeout that fires again and again from one submission (Linux 6.4). Without it, ``Reactor/every(_:_:)`` keeps
    /// the time itself.
    public var multishotTimeout: Bool

    /// What a kernel says of itself.
    public init(multishotTimeout: Bool) {
        self.multishotTimeout = multishotTimeout
    }
}
