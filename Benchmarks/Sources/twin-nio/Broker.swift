import NIOCore

/// The channels of the protocol, by name. Called topics here: a channel is something else in NIO.
final class Broker {
    private var topics: [ByteBuffer: Topic] = [:]

    /// The topic of this name, made if there is none.
    func topic(named name: ByteBuffer) -> Topic {
        if let topic = topics[name] { return topic }
        let topic = Topic(name: name)
        topics[name] = topic
        return topic
    }

    /// Forgets the topic if nobody uses it.
    func release(_ topic: Topic) {
        if topic.subscribers.isEmpty, topic.publisherCount == 0 { topics[topic.name] = nil }
    }
}

/// Who gets what is published under one name.
final class Topic {
    let name: ByteBuffer
    var publisherCount = 0
    private(set) var subscribers: [Subscriber] = []

    init(name: ByteBuffer) { self.name = name }

    func add(_ subscriber: Subscriber) {
        subscriber.position = subscribers.count
        subscribers.append(subscriber)
    }

    /// The last one takes the place that becomes free.
    func remove(_ subscriber: Subscriber) {
        let last = subscribers.removeLast()
        guard last !== subscriber else { return }
        last.position = subscriber.position
        subscribers[last.position] = last
    }

    /// Queues the same memory for everyone. Nothing leaves before ``flush()``.
    func write(_ lines: ByteBuffer) {
        let data = NIOAny(lines)
        for subscriber in subscribers { subscriber.write(data) }
    }

    /// Sends what is queued. A connection found broken by that is removed while this goes on, from another copy of the list.
    func flush() {
        for subscriber in subscribers { subscriber.context.flush() }
    }
}

/// A connection that has subscribed.
final class Subscriber {
    /// The most that may wait for it.
    private static let maximumPendingBytes = 64 << 20

    let context: ChannelHandlerContext
    private let channel: any Channel
    /// Where it is in its topic's list.
    var position = 0

    init(_ context: ChannelHandlerContext) {
        self.context = context
        channel = context.channel
    }

    func write(_ data: NIOAny) {
        context.write(data, promise: nil)
        if !channel.isWritable { disconnectIfTooSlow() }
    }

    /// Asked only above the high water mark, since asking costs more than a write.
    private func disconnectIfTooSlow() {
        guard let pending = try? channel.syncOptions?.getOption(.bufferedWritableBytes),
            pending > Subscriber.maximumPendingBytes
        else { return }
        context.close(promise: nil)
    }
}
