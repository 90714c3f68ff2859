import ArgumentParser
import PubSub
import SystemPackage
import UringReactor

/// The pub/sub clients: the same program twice, once in each style.
struct PubSubClient: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pubsub-client",
        abstract: "Publishes or subscribes, in either style of programming.",
        discussion: "Both styles do the same; read Samples/PubSubClient to compare them.",
        subcommands: [StyleCommand<CallbackStyle>.self, StyleCommand<StateMachineStyle>.self]
    )
}

/// One style of writing a client.
protocol ClientStyle {
    static var commandName: String { get }
    static var abstract: String { get }

    /// Connects, becomes a publisher of the channel, publishes what `source` gives, and leaves when it has no more.
    ///
    /// - Parameters:
    ///   - onReady: called when the server has answered `OK`.
    ///   - onEnd: called at the end; if more than once, the first call says why.
    @discardableResult
    static func publish(
        _ source: any MessageSource, to channel: ChannelName, at address: SocketAddress, on reactor: Reactor,
        onReady: @escaping () -> Void, onEnd: @escaping (ClientEnd) -> Void
    ) -> Connection

    /// Connects, becomes a subscriber of the channel, and hands over its messages until the connection ends. Send
    /// ``Command/bye`` on the returned connection to leave.
    @discardableResult
    static func subscribe(
        to channel: ChannelName, at address: SocketAddress, on reactor: Reactor,
        onReady: @escaping () -> Void, onMessage: @escaping (Bytes) throws -> Void, onEnd: @escaping (ClientEnd) -> Void
    ) -> Connection
}

/// How a client's connection ended.
enum ClientEnd: Equatable, CustomStringConvertible {
    /// As it should: we said `BYE`, or the server did.
    case finished
    /// The server said `ERROR`, and why.
    case refused(String)
    /// The connection failed, or ended before its time.
    case failed(String)

    var description: String {
        switch self {
        case .finished: "finished"
        case .refused(let reason): "the server refused: \(reason)"
        case .failed(let reason): reason
        }
    }
}

/// `callbacks` or `state-machine`, each with `publish` and `subscribe`.
struct StyleCommand<Style: ClientStyle>: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: Style.commandName, abstract: Style.abstract,
            subcommands: [PublishCommand<Style>.self, SubscribeCommand<Style>.self])
    }
}

struct ServerOptions: ParsableArguments {
    @Option(help: "The server's name or address.")
    var host = "127.0.0.1"

    @Option(help: "The server's port.")
    var port: UInt16?

    @Option(name: .customLong("unix"), help: ArgumentHelp("The server's Unix socket, instead.", valueName: "path"))
    var unixPath: String?

    func validate() throws {
        guard (port == nil) != (unixPath == nil) else { throw ValidationError("say where the server is: --port or --unix") }
    }

    func address() throws -> SocketAddress {
        if let unixPath { return try .unix(path: unixPath) }
        return try resolve(host: host, port: port ?? 0)
    }
}

struct PublishCommand<Style: ClientStyle>: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "publish",
            abstract: "Publishes messages to a channel.",
            discussion: "Each argument is a message, or, without any, each line of standard input.")
    }

    @OptionGroup var server: ServerOptions
    @Argument(help: "The channel.") var channel: String
    @Argument(help: "The messages; none reads standard input.") var messages: [String] = []

    func run() throws {
        let reactor = try Reactor()
        let source: any MessageSource =
            messages.isEmpty ? StandardInputMessages(reactor) : try ArgumentMessages(messages)
        var end: ClientEnd?
        Style.publish(
            source, to: try ChannelName(channel), at: try server.address(), on: reactor, onReady: {},
            onEnd: {
                end = end ?? $0
                reactor.stop()
            })
        try reactor.run()
        try end.throwIfFailed()
    }
}

struct SubscribeCommand<Style: ClientStyle>: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: "subscribe", abstract: "Prints the messages of a channel.")
    }

    @OptionGroup var server: ServerOptions
    @Argument(help: "The channel.") var channel: String
    @Option(help: "Leave after so many messages; without it, at the end of the server or by a signal.")
    var count: Int?

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--count must be at least 1") }
    }

    func run() throws {
        let reactor = try Reactor()
        let printed = Printed()
        var end: ClientEnd?
        let connection = Style.subscribe(
            to: try ChannelName(channel), at: try server.address(), on: reactor, onReady: {},
            onMessage: { message in
                guard printed.count < count ?? .max else { return }
                unsafe try message.withUnsafeBytes { _ = unsafe try FileDescriptor.standardOutput.writeAll($0) }
                printed.count += 1
                if printed.count == count { printed.connection?.send(Command.bye.line) }
            },
            onEnd: {
                end = end ?? $0
                reactor.stop()
            })
        printed.connection = connection
        let signals = TerminationSignals { [handle = reactor.handle] in
            handle.post {
                // A server that does not answer our farewell is not waited for.
                guard connection.isOpen else { return Reactor.current?.stop() ?? () }
                connection.send(Command.bye.line)
                connection.setDeadline(after: .seconds(2))
            }
        }
        defer { signals.cancel() }
        try reactor.run()
        try end.throwIfFailed()
        if let count, printed.count < count {
            throw ClientFailure("the server ended after \(printed.count) of \(count) messages")
        }
    }

    /// What the callback that prints has to know of itself.
    private final class Printed {
        var count = 0
        var connection: Connection?
    }
}

/// A client that did not end as it should; printed by the argument parser, exit status 1.
struct ClientFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension ClientEnd? {
    fileprivate func throwIfFailed() throws {
        guard let self, self != .finished else { return }
        throw ClientFailure(self.description)
    }
}
