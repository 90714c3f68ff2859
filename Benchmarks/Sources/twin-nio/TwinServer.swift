import NIOCore
import NIOPosix

/// How both services listen.
enum TwinServer {
    static func bootstrap(_ service: Options.Service, on group: MultiThreadedEventLoopGroup) -> ServerBootstrap {
        let common = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // A burst of connections is accepted in one turn of the loop.
            .serverChannelOption(.maxMessagesPerRead, value: 256)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.recvAllocator, value: SteadyReceiveAllocator())
            // Above what one turn of the loop reads. With less, a full pipeline would have reading paused and resumed, at
            // the cost of two system calls, between a write and its flush.
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 1 << 20, high: 4 << 20))
        switch service {
        case .echo:
            // What was received before the end is sent back before the connection is closed.
            return common.childChannelOption(.allowRemoteHalfClosure, value: true).childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(EchoHandler()) }
            }
        case .pubsub:
            // There is one loop, so one broker, which only that loop touches.
            let loop = group.next()
            let broker = NIOLoopBoundBox<Broker>.makeBoxSendingValue(Broker(), eventLoop: loop)
            return common.childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(PubSubHandler(broker: broker.value))
                }
            }
        }
    }
}
