import ArgumentParser
import UringReactor

/// Where a server sample listens, and its limits.
struct ListenOptions: ParsableArguments {
    @Option(help: "The address to listen on: a name or a number, IPv4 or IPv6.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 lets the kernel choose one.")
    var port: UInt16 = 0

    @Option(name: .customLong("unix"), help: ArgumentHelp("Listen on a Unix socket instead.", valueName: "path"))
    var unixPath: String?

    @Option(help: "Connections the kernel completes before they are accepted.")
    var backlog = 4096

    @Option(help: "The most connections at once; more are told so and closed.")
    var maxConnections = 100_000

    @Option(help: ArgumentHelp("Close a connection on which nothing moved for so long; 0 for never.", valueName: "seconds"))
    var idleTimeout = 0.0

    @Option(
        help: ArgumentHelp("Close a connection whose peer takes nothing for so long; 0 for never.", valueName: "seconds"))
    var writeTimeout = 10.0

    @Option(help: ArgumentHelp("Bytes of a small receive buffer.", valueName: "bytes"))
    var receiveBufferSize = ReactorConfiguration().receiveBufferSize

    @Option(help: "Receive buffers that the kernel may pick from; 0 gives each connection one of its own.")
    var receiveBuffers = ReactorConfiguration().receiveBufferCount

    @Option(
        help: ArgumentHelp(
            "Send without copying what has at least so many bytes, over a network that can; 0 for never.",
            valueName: "bytes"))
    var zeroCopy = 0

    @Option(help: ArgumentHelp("When the kernel is entered: `turn`, or a number of operations.", valueName: "policy"))
    var batching = BatchingPolicy.turn

    @Option(help: ArgumentHelp("Print statistics every so often; 0 for only at the end.", valueName: "seconds"))
    var statsInterval = 0.0

    /// For whoever starts a server to end with: it does not outlive one that is killed.
    @Flag(help: .hidden)
    var stopWithOutput = false

    func validate() throws {
        guard backlog > 0 else { throw ValidationError("--backlog must be at least 1") }
        guard (1...10_000_000).contains(maxConnections) else {
            throw ValidationError("--max-connections must be from 1 to 10000000")
        }
        let times = 0.001...1e9
        guard [idleTimeout, writeTimeout, statsInterval].allSatisfy({ $0 == 0 || times.contains($0) }) else {
            throw ValidationError("a time must be 0, or from 0.001 to 1e9 seconds")
        }
        guard (64...1 << 20).contains(receiveBufferSize), (0...16_384).contains(receiveBuffers), zeroCopy >= 0 else {
            throw ValidationError(
                """
                --receive-buffer-size must be from 64 to 1048576, --receive-buffers from 0 to 16384, and --zero-copy not \
                negative
                """)
        }
        guard unixPath == nil || port == 0 else { throw ValidationError("--port and --unix exclude each other") }
    }

    func address() throws -> SocketAddress {
        if let unixPath { return try .unix(path: unixPath) }
        return try resolve(host: host, port: port)
    }

    /// The server's configuration; `refusal` is what a connection is told that is one too many.
    func serverConfiguration(refusal: Bytes?) -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.backlog = backlog
        configuration.maximumConnections = maxConnections
        configuration.refusal = refusal
        if idleTimeout > 0 { configuration.connection.idleTimeout = .seconds(idleTimeout) }
        configuration.connection.writeTimeout = writeTimeout > 0 ? .seconds(writeTimeout) : nil
        configuration.connection.zeroCopyThreshold = zeroCopy > 0 ? zeroCopy : nil
        return configuration
    }

    func makeReactor() throws -> Reactor {
        raiseDescriptorLimit()
        var configuration = ReactorConfiguration()
        configuration.batching = batching
        configuration.maximumConnections = maxConnections + 64
        configuration.receiveBufferSize = receiveBufferSize
        configuration.receiveBufferCount = receiveBuffers
        return try Reactor(configuration: configuration)
    }

    /// Prints the address, runs the server until a signal, and prints what it did.
    func serve(_ server: Server) throws {
        // Who has read that it listens may end it.
        let signals = TerminationSignals { [handle = server.handle] in handle.stop() }
        defer { signals.cancel() }
        printLine("listening on \(server.address)")
        let reactor = server.reactor
        if statsInterval > 0 {
            reactor.every(.seconds(statsInterval)) { printLine("\(reactor.statistics)\n") }
        }
        // Nobody reads the pipe any more: POLLERR, which is not asked for and always told.
        if stopWithOutput {
            reactor.poll(.standardOutput, for: []) { _ in server.stop() }
        }
        // The server owns the reactor's life: when it has drained, so has everything.
        server.whenStopped = { reactor.stop() }
        try reactor.run()
        printLine("\(reactor.statistics)")
    }
}

/// The first address of a host that may be a name.
func resolve(host: String, port: UInt16) throws -> SocketAddress {
    guard let first = try SocketAddress.resolve(host: host, port: port).first else {
        throw ValidationError("\(host) has no address")
    }
    return first
}

extension BatchingPolicy: ExpressibleByArgument {
    public init?(argument: String) {
        if argument == "turn" {
            self = .turn
        } else if let operations = Int(argument), operations >= 1 {
            self = .threshold(operations)
        } else {
            return nil
        }
    }

    public var defaultValueDescription: String { "\(self)" }
}
