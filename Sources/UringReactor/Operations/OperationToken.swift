/// Names one operation: its `user_data` in the ring.
///
/// A token stays valid as long as the operation, and is harmless afterwards: its generation no longer matches, so that
/// neither a late completion nor a late ``Reactor/cancel(_:)`` can hit whoever has the slot by then.
public struct OperationToken: Sendable, Hashable {
    /// Kind (8 bits), generation (24 bits), slot (32 bits). To compare and to log; not to be taken apart.
    public let rawValue: UInt64

    /// What a completion is for. Never 0, so that an entry nobody filled is told apart.
    enum Kind: UInt8 {
        /// A slot of the ``CallbackRegistry``.
        case callback = 1
        /// The cancel request of a slot of the registry.
        case cancel
        /// The cancel of everything that is in flight, when a reactor ends.
        case sweep
        /// The poll of the reactor's waker.
        case wakeUp
        /// What a connection does: its slot is one of the ``ConnectionTable``.
        case connect
        case receive
        case send
        case close
        /// The poll of a connection whose peer took no more.
        case writable
        /// The cancel of a connect or of a receive.
        case cancelOperation
        /// A send without a copy: its slot is one of those that keep the bytes.
        case sendZeroCopy
        /// Not the kernel's: a connection has something to do on the next turn.
        case connectionReady
    }

    /// Generations wrap at this mask.
    static let generationMask: UInt32 = 0xff_ffff

    @inline(__always)
    init(_ kind: Kind, slot: UInt32, generation: UInt32) {
        rawValue = UInt64(kind.rawValue) << 56 | UInt64(generation & OperationToken.generationMask) << 32 | UInt64(slot)
    }

    @inline(__always)
    init(rawValue: UInt64) { self.rawValue = rawValue }

    @inline(__always)
    var kind: Kind? { Kind(rawValue: UInt8(truncatingIfNeeded: rawValue >> 56)) }
    /// Whether it is of this kind: cheaper to ask than ``kind``.
    @inline(__always)
    func isOf(_ kind: Kind) -> Bool { rawValue >> 56 == UInt64(kind.rawValue) }
    @inline(__always)
    var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) & OperationToken.generationMask }
    @inline(__always)
    var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

    /// Names nothing; cancelling it does nothing.
    static let none = OperationToken(rawValue: 0)
}

extension OperationToken: CustomStringConvertible {
    public var description: String {
        "\(kind.map { "\($0)" } ?? "none") \(slot) (generation \(generation))"
    }
}
