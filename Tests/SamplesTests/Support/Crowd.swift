/// Subscribers that are waited for together.
final class Crowd {
    let size: Int
    /// Called each time that all have got what is waited for.
    var whenThere: () throws -> Void = {}
    private var target = 0
    private var arrived = 0

    init(_ size: Int) { self.size = size }

    /// From now on waits until all have got so many bytes of their feed; more than was waited for before.
    func wait(for target: Int) {
        precondition(target > self.target && arrived == (self.target == 0 ? 0 : size))
        self.target = target
        arrived = 0
    }

    func wait(for target: Int, _ whenThere: @escaping () throws -> Void) {
        wait(for: target)
        self.whenThere = whenThere
    }

    /// One has got more.
    func moved(from old: Int, to new: Int) throws {
        guard old < target, new >= target else { return }
        arrived += 1
        guard arrived == size else { return }
        try whenThere()
    }
}
