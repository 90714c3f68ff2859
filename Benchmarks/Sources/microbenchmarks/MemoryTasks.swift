import UringReactor

/// Slices of shared memory, against copies.
enum MemoryTasks {
    private static let count = 1_000_000

    static func group() -> TaskGroup {
        let message = Bytes((0..<4096).map { UInt8(truncatingIfNeeded: $0) })
        let other = message.copied()
        return TaskGroup(
            title: "Bytes (×: a slice of 128)",
            tasks: [
                MeasuredTask(name: "bytes: slice of 128", count: count) {
                    for place in 0..<count { consume(message[(place & 1023)..<((place & 1023) + 128)]) }
                },
                MeasuredTask(name: "bytes: copy of 128", count: count) {
                    for place in 0..<count { consume(message[(place & 1023)..<((place & 1023) + 128)].copied()) }
                },
                MeasuredTask(name: "bytes: array of 128, copied by Swift", count: count) {
                    let array = [UInt8](message)
                    for place in 0..<count { consume(Array(array[(place & 1023)..<((place & 1023) + 128)])) }
                },
                MeasuredTask(name: "bytes: comparison of 4 KiB", count: count / 10) {
                    for _ in 0..<count / 10 { precondition(message == other) }
                },
                MeasuredTask(name: "bytes: from a literal", count: count) {
                    for _ in 0..<count { consume("OK\r\n" as Bytes) }
                },
                MeasuredTask(name: "bytes: from a pool, filled and let go", count: count) {
                    let pool = BufferPool([BufferPool.SizeClass(size: 4096)])
                    for _ in 0..<count {
                        guard let buffer = pool.checkOut(atLeast: 4096) else { preconditionFailure("the pool is empty") }
                        consume(buffer)
                        pool.checkIn(buffer)
                    }
                },
            ])
    }
}
