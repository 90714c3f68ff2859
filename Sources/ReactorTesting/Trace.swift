import SystemPackage
import UringReactor

/// One step of a ``SimulatedKernel``. The same seed and the same calls give the same steps, byte for byte.
public struct TraceEvent: Sendable, Equatable, CustomStringConvertible {
    public enum Step: Sendable, Equatable {
        /// An enter begins.
        case enter(EnterRequest)
        /// It returns.
        case returned(Int32)
        /// A submission was consumed.
        case submitted(SimulatedKernel.Opcode, userData: UInt64, descriptor: Int32, length: Int)
        /// A completion was posted, or went to those that overflowed.
        case completed(SimulatedKernel.Opcode, userData: UInt64, result: Int32, flags: UInt32, overflowed: Bool)
        /// A system call beside the ring, and its outcome.
        case call(String)
        /// What a peer of the test did or saw.
        case peer(String)
        /// A fault that was injected or drawn.
        case fault(String)
    }

    /// Nanoseconds of simulated time.
    public let time: UInt64
    public let step: Step

    public var description: String {
        "\(time) \(text)"
    }

    private var text: String {
        switch step {
        case .enter(let request):
            let reap = request.reap ? " reap" : ""
            let timeout = request.timeout.map { " timeout \($0)" } ?? ""
            return "enter submit \(request.submit) wait \(request.waitFor)\(reap)\(timeout)"
        case .returned(let result): return "returned \(SimulatedKernel.describe(result))"
        case .submitted(let opcode, let userData, let descriptor, let length):
            return "submitted \(opcode) \(hexadecimal(userData)) fd \(descriptor) length \(length)"
        case .completed(let opcode, let userData, let result, let flags, let overflowed):
            // The result of a notification is a set of flags, and its highest bit no sign.
            if flags & CompletionFlags.notification != 0 {
                return "notified \(opcode) \(hexadecimal(userData))\(overflowed ? " overflowed" : "")"
            }
            let buffer = flags & CompletionFlags.buffer != 0 ? " buffer \(flags >> 16)" : ""
            let more = flags & CompletionFlags.more != 0 ? " more" : ""
            let rest = "\(buffer)\(more)\(overflowed ? " overflowed" : "")"
            return "completed \(opcode) \(hexadecimal(userData)) \(SimulatedKernel.describe(result))\(rest)"
        case .call(let text): return text
        case .peer(let text): return "peer \(text)"
        case .fault(let text): return "fault: \(text)"
        }
    }
}

/// The last so many events.
struct Trace {
    private var events: [TraceEvent] = []
    private var first = 0
    private let limit: Int
    private(set) var dropped = 0

    init(limit: Int) {
        self.limit = max(0, limit)
    }

    mutating func record(_ event: TraceEvent) {
        if events.count < limit {
            events.append(event)
            return
        }
        dropped += 1
        guard limit > 0 else { return }
        events[first] = event
        first = (first + 1) % limit
    }

    var all: [TraceEvent] { Array(events[first...] + events[..<first]) }
}

extension SimulatedKernel {
    /// A result as a number, or an errno's symbol.
    static func describe(_ result: Int32) -> String {
        result < 0 ? "-" + ErrnoName.of(Errno(rawValue: -result)) : String(result)
    }
}
