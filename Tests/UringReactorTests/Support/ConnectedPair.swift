@testable import UringReactor

/// Connects with callbacks to a raw peer and runs `script`, until the connection is closed.
///
/// - Returns: why it was closed. The peer's socket stays open until then, unless the script closes it.
@discardableResult
func withConnection(
    options: ConnectionOptions = ConnectionOptions(), receiveBuffer: Int32? = nil,
    _ script: @escaping (Connection, RawPeer, Reactor) throws -> Void
) throws -> CloseReason? {
    let run = try ReactorRun()
    let listener = try RawListener(receiveBuffer: receiveBuffer)
    var reason: CloseReason?
    run.reactor.connect(to: listener.address, options: options) { (result: Result<Connection, IOError>) in
        let connection = try result.get()
        let peer = listener.accept()
        connection.whenClosed {
            reason = $0
            withExtendedLifetime(peer) { run.reactor.stop() }
        }
        try script(connection, peer, run.reactor)
    }
    try run.run()
    return reason
}
