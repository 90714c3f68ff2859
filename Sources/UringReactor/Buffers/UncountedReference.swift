/// A reference that is counted once, when it is made, and not each time it is used: an event to a handler costs no atomic
/// operation. Whoever made it releases it, once, when no use is under way.
@safe struct UncountedReference<Object: AnyObject> {
    private let object: Unmanaged<Object>

    init(retaining object: Object) {
        unsafe self.object = Unmanaged.passRetained(object)
    }

    /// To what outlives it by its own.
    init(to object: Object) {
        unsafe self.object = Unmanaged.passUnretained(object)
    }

    @inline(__always)
    func use<Result>(_ body: (Object) throws -> Result) rethrows -> Result {
        // Within, and not with what it returns: that would be a reference, and counted.
        try unsafe object._withUnsafeGuaranteedRef { try body($0) }
    }

    func release() { unsafe object.release() }
}
