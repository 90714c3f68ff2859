/// Something to reach, and in which cases.
struct Target {
    let text: String
    /// Patterns of names of cases.
    let cases: [String]
    let measure: Measure
    let limit: Double
    var across = Across.every

    enum Measure {
        /// Ours divided by the best of these.
        case ratio(Metric, to: [String])
        /// Ours as it is.
        case figure(Metric)
        /// A task of ``Dispatch`` divided by the raw ring, of which the name ends so.
        case dispatch(String)
    }

    enum Across {
        /// In every case.
        case every
        /// In the middle one of all cases.
        case median
    }

    static let cTwins = ["c-uring", "c-epoll"]

    /// What was set out to be reached before anything was measured.
    static let all: [Target] = [
        Target(
            text: "CPU per message, against the better C twin, in every case",
            cases: ["echo-*", "fanout-*", "rate-*", "churn-*"], measure: .ratio(.cpu, to: cTwins), limit: 1.10),
        Target(
            text: "CPU per message, against the better C twin, in the median case",
            cases: ["echo-*", "fanout-*", "rate-*", "churn-*"], measure: .ratio(.cpu, to: cTwins), limit: 1.05,
            across: .median),
        Target(
            text: "CPU against SwiftNIO, echo of depth 1 with 64 and more connections",
            cases: ["echo-64x*-d1", "echo-512x*-d1"], measure: .ratio(.cpu, to: ["nio"]), limit: 0.72),
        Target(
            text: "CPU against SwiftNIO, fan-out of 128 B", cases: ["fanout-*x128B-*"],
            measure: .ratio(.cpu, to: ["nio"]), limit: 0.80),
        Target(
            text: "CPU against SwiftNIO, fan-out of 8 KiB", cases: ["fanout-*x8KiB-*"],
            measure: .ratio(.cpu, to: ["nio"]), limit: 0.92),
        Target(
            text: "CPU against SwiftNIO, fan-out of 1 MiB", cases: ["fanout-*x1MiB-*"],
            measure: .ratio(.cpu, to: ["nio"]), limit: 0.75),
        Target(
            text: "CPU against Redis, fan-out of 128 B, window 8", cases: ["fanout-*x128B-w8"],
            measure: .ratio(.cpu, to: ["redis"]), limit: 0.72),
        Target(
            text: "CPU against NATS, fan-out of 128 B, window 8", cases: ["fanout-*x128B-w8"],
            measure: .ratio(.cpu, to: ["nats"]), limit: 0.48),
        Target(
            text: "CPU against Tokio: never above a tie", cases: ["echo-*", "fanout-*", "rate-*", "churn-*"],
            measure: .ratio(.cpu, to: ["tokio"]), limit: 1 + Ratio.noise),
        Target(
            text: "p99 at a fixed rate, against the better C twin", cases: ["rate-*"],
            measure: .ratio(.p99, to: cTwins), limit: 1.15),
        Target(
            text: "System calls per message, echo with 64 connections", cases: ["echo-64x*"],
            measure: .figure(.syscalls), limit: 0.25),
        Target(
            text: "System calls per message in fan-out, against the epoll twin", cases: ["fanout-*"],
            measure: .ratio(.syscalls, to: ["c-epoll"]), limit: 1.0 / 30),
        Target(
            // With fewer connections it is what the server has once that counts.
            text: "Memory of an idle connection, 10,000 of them, against SwiftNIO", cases: ["idle-*-10000"],
            measure: .ratio(.idleMemory, to: ["nio"]), limit: 0.5),
        Target(
            text: "Dispatch of a no-op to a state machine, against the raw ring", cases: [],
            measure: .dispatch("state machine"), limit: 1.15),
        Target(
            text: "Dispatch to a callback that captures one reference", cases: [],
            measure: .dispatch("captures one reference"), limit: 1.5),
        Target(
            text: "Dispatch to a callback with a fresh boxed closure", cases: [],
            measure: .dispatch("fresh boxed closure"), limit: 1.85),
    ]
}
