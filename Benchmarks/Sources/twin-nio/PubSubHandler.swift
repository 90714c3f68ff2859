import NIOCore

/// One connection of the publish/subscribe service.
final class PubSubHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Part {
        case undecided
        case publisher(Topic)
        case subscriber(Subscriber, Topic)
        /// It gets what it was to get, and nothing of it counts any more.
        case leaving
    }

    private let broker: Broker
    private var part = Part.undecided
    /// A command whose end has not come.
    private var command = ByteBuffer()
    private var splitter = LineSplitter()

    init(broker: Broker) { self.broker = broker }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = PubSubHandler.unwrapInboundIn(data)
        if case .publisher(let topic) = part {
            publish(buffer, to: topic, context: context)
        } else {
            readCommands(buffer, context: context)
        }
    }

    /// One flush for all that one turn of the loop read.
    func channelReadComplete(context: ChannelHandlerContext) {
        if case .publisher(let topic) = part { topic.flush() }
    }

    func channelInactive(context: ChannelHandlerContext) { leave() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: - Publishing

    private func publish(_ buffer: ByteBuffer, to topic: Topic, context: ChannelHandlerContext) {
        switch splitter.split(buffer, emit: topic.write) {
        case .lines: break
        case .bye: end(context)
        case .tooLong: refuse("line too long", context)
        }
    }

    // MARK: - Commands

    private func readCommands(_ buffer: ByteBuffer, context: ChannelHandlerContext) {
        var buffer = buffer
        while let end = buffer.readableBytesView.firstIndex(of: 0x0a) {
            guard let line = buffer.readSlice(length: end - buffer.readerIndex) else { return }
            buffer.moveReaderIndex(forwardBy: 1)
            command.writeImmutableBuffer(line)
            guard command.readableBytes < Command.longest else { return refuse("command too long", context) }
            execute(command, context)
            command = ByteBuffer()
            switch part {
            case .publisher(let topic):
                if buffer.readableBytes > 0 { publish(buffer, to: topic, context: context) }
                return
            case .leaving: return
            case .undecided, .subscriber: continue
            }
        }
        command.writeBuffer(&buffer)
        if command.readableBytes > Command.longest { refuse("command too long", context) }
    }

    private func execute(_ line: ByteBuffer, _ context: ChannelHandlerContext) {
        do {
            switch (part, try Command(line)) {
            case (.undecided, .publish(let name)):
                let topic = broker.topic(named: name)
                topic.publisherCount += 1
                part = .publisher(topic)
                accept(context)
            case (.undecided, .subscribe(let name)):
                let (topic, subscriber) = (broker.topic(named: name), Subscriber(context))
                topic.add(subscriber)
                part = .subscriber(subscriber, topic)
                accept(context)
            case (_, .bye): end(context)
            case (_, .publish), (_, .subscribe): refuse("unexpected command", context)
            }
        } catch {
            refuse(error.reason, context)
        }
    }

    private func accept(_ context: ChannelHandlerContext) {
        context.writeAndFlush(PubSubHandler.wrapOutboundOut(ByteBuffer(staticString: "OK\r\n")), promise: nil)
    }

    private func refuse(_ reason: String, _ context: ChannelHandlerContext) {
        context.write(PubSubHandler.wrapOutboundOut(ByteBuffer(string: "ERROR \(reason)\r\n")), promise: nil)
        end(context)
    }

    // MARK: - Leaving

    private func end(_ context: ChannelHandlerContext) {
        leave()
        context.closeWhenFlushed()
    }

    private func leave() {
        switch part {
        case .undecided, .leaving: break
        case .publisher(let topic):
            // What it has published in this turn of the loop.
            topic.flush()
            topic.publisherCount -= 1
            broker.release(topic)
        case .subscriber(let subscriber, let topic):
            topic.remove(subscriber)
            broker.release(topic)
        }
        part = .leaving
    }
}
