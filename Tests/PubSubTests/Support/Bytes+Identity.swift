import UringReactor

extension Bytes {
    /// Whether these bytes are, in memory, those at `position` of `other`: not equal to them but the same.
    func isAt(_ position: Int, of other: Bytes) -> Bool {
        let mine = unsafe withUnsafeBytes { $0.baseAddress }
        let start = unsafe other.withUnsafeBytes { $0.baseAddress }
        guard let mine = unsafe mine, let start = unsafe start else { return false }
        return unsafe start.distance(to: mine) == position
    }

    /// Whether these bytes lie within the memory of `other`.
    func isWithin(_ other: Bytes) -> Bool {
        (0...Swift.max(0, other.count - count)).contains { isAt($0, of: other) }
    }
}
