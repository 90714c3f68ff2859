/// A reference that is counted once, when it is made, and not each time it is used: an event to a handler costs no atomic
/// operation. Whoever made it releases it, once, when no use is under way.
@safe struct UncountedReference<Object: AnyObject> {
    private let object: Unmanaged<Object>

    init(retaining object: Object) {
        unsafe self.object = Unmanaged.passRetained(object)
    }

    @inline(__always)
    func use<Result, Failure: Error>(_ body: (Object) throws(Failure) -> Result) throws(Failure) -> Result {
        try unsafe body(object._withUnsafeGuaranteedRef { $0 })
    }

    func release() { unsafe object.release() }
}
