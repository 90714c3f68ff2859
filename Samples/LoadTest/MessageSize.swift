import ReactorTesting

/// How large messages are, their line feeds included: one size, a range, or several with weights.
enum MessageSize: Equatable {
    case fixed(Int)
    /// Each size from the first to the last as likely as any other.
    case range(ClosedRange<Int>)
    /// Each choice as often as its weight says.
    case weighted([Choice])

    struct Choice: Equatable {
        let size: Int
        let weight: Int
    }

    /// `128`, `64-4096`, or `64:90,4096:9,1048576:1`.
    ///
    /// - Parameter smallest: what a message needs at least.
    /// - Throws: ``Malformed``, which names what is wrong with it.
    init(_ text: String, smallest: Int = 1, largest: Int = MessageHead.largestSize) throws(Malformed) {
        let sizes = smallest...largest
        func number(_ text: some StringProtocol) throws(Malformed) -> Int {
            guard let number = Int(text), number >= 0 else { throw Malformed("\"\(text)\" is no number of bytes") }
            return number
        }
        func size(_ text: some StringProtocol) throws(Malformed) -> Int {
            let size = try number(text)
            guard sizes.contains(size) else {
                throw Malformed("a size of \(size) bytes is not possible: from \(smallest) to \(largest)")
            }
            return size
        }
        if text.contains(":") {
            var choices: [Choice] = []
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                let pair = part.split(separator: ":", omittingEmptySubsequences: false)
                guard pair.count == 2 else { throw Malformed("\"\(part)\" is no size:weight") }
                let weight = try number(pair[1])
                guard (1...1_000_000).contains(weight) else {
                    throw Malformed("a weight of \(weight) is not possible: from 1 to 1000000")
                }
                choices.append(Choice(size: try size(pair[0]), weight: weight))
            }
            guard choices.count <= 1_000 else { throw Malformed("\(choices.count) sizes are more than 1000") }
            self = .weighted(choices)
        } else if text.contains("-") {
            let bounds = text.split(separator: "-", omittingEmptySubsequences: false)
            guard bounds.count == 2 else { throw Malformed("\"\(text)\" is no range: write smallest-largest") }
            let (first, last) = (try size(bounds[0]), try size(bounds[1]))
            guard first <= last else { throw Malformed("\(text) is a range from the larger to the smaller size") }
            self = .range(first...last)
        } else {
            self = .fixed(try size(text))
        }
    }

    struct Malformed: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    /// The largest size there may be.
    var largest: Int {
        switch self {
        case .fixed(let size): size
        case .range(let sizes): sizes.upperBound
        case .weighted(let choices): choices.reduce(0) { max($0, $1.size) }
        }
    }

    /// The size of the next message.
    func draw(from random: inout SplitMix64) -> Int {
        switch self {
        case .fixed(let size): return size
        case .range(let sizes): return Int.random(in: sizes, using: &random)
        case .weighted(let choices):
            var rest = Int.random(in: 0..<choices.reduce(0) { $0 + $1.weight }, using: &random)
            for choice in choices {
                if rest < choice.weight { return choice.size }
                rest -= choice.weight
            }
            preconditionFailure("the weights add up")
        }
    }
}

extension MessageSize: CustomStringConvertible {
    /// As it was written.
    var description: String {
        switch self {
        case .fixed(let size): "\(size)"
        case .range(let sizes): "\(sizes.lowerBound)-\(sizes.upperBound)"
        case .weighted(let choices): choices.map { "\($0.size):\($0.weight)" }.joined(separator: ",")
        }
    }
}
