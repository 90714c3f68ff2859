import ArgumentParser

/// `samples`: programs written with UringReactor, to read, to try and to measure. One subcommand a sample.
@main
struct Samples: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "samples",
        abstract: "Programs written with UringReactor, a reactor over io_uring.",
        discussion: "Start with `samples scenario`: a pub/sub server and its clients, verified step by step.",
        subcommands: [
            Scenario.self, PubSubServer.self, PubSubClient.self, EchoServer.self, LoadTest.self, EchoLoad.self,
            Simulate.self,
        ]
    )
}
