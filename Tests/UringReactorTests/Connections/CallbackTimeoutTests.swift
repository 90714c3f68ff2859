import SystemPackage
import Testing

@testable import UringReactor

/// The timeouts of receives, the deadline and the idle timeout of a connection: three clocks that do not disturb each
/// other.
@Suite struct CallbackTimeoutTests {
    @Test func aReceiveThatTimesOutLeavesTheConnectionOpen() throws {
        var got: String?
        let reason = try withConnection { connection, peer, _ in
            connection.receive(timeout: .milliseconds(1)) { result in
                #expect(throws: IOError(.receive, .timedOut, target: "\(connection)")) { try result.get() }
                connection.receive(timeout: .seconds(50)) { result in
                    got = try result.get().map { String($0) }
                    connection.close()
                    peer.close()
                }
                peer.send("late")
            }
        }
        #expect(got == "late")
        #expect(reason == .closed)
    }

    // The idle timeout closes the connection; it is not the timeout of the receive, which comes later.
    @Test func theIdleTimeoutIsNotThatOfAReceive() throws {
        var options = ConnectionOptions()
        options.idleTimeout = .milliseconds(5)
        options.lingerTimeout = .zero
        var errno: Errno?
        let reason = try withConnection(options: options) { connection, _, _ in
            connection.receive(timeout: .seconds(50)) { result in
                if case .failure(let error) = result { errno = error.errno }
                #expect(!connection.isOpen)
            }
        }
        #expect(reason == .idle)
        #expect(errno == .timedOut)
    }

    // A receive with a timeout that is answered in time must not take the connection's own deadline away.
    @Test func aReceiveDoesNotTouchTheDeadline() throws {
        var options = ConnectionOptions()
        options.lingerTimeout = .zero
        let reason = try withConnection(options: options) { connection, peer, _ in
            connection.setDeadline(after: .milliseconds(20))
            peer.send("x")
            connection.receive(timeout: .seconds(50)) { _ in
                connection.receive(timeout: .seconds(50)) { _ in }
            }
        }
        #expect(reason == .deadline)
    }

    @Test func theDeadlineDoesNotEndAReceiveWithItsOwnTime() throws {
        var options = ConnectionOptions()
        options.lingerTimeout = .zero
        var errnos: [Errno] = []
        let reason = try withConnection(options: options) { connection, _, _ in
            connection.setDeadline(after: .milliseconds(10))
            func next() {
                connection.receive(timeout: .milliseconds(1)) { result in
                    guard case .failure(let error) = result else { return }
                    errnos.append(error.errno)
                    if connection.isOpen { next() }
                }
            }
            next()
        }
        #expect(reason == .deadline)
        #expect(errnos.allSatisfy { $0 == .timedOut })
        #expect(!errnos.isEmpty)
    }

    // What is here already is had even in no time.
    @Test func noTimeIsEnoughForWhatIsHere() throws {
        var got: [String] = []
        let reason = try withConnection { connection, peer, _ in
            peer.send("a\nb\n")
            connection.receiveLine { result in
                got.append(String(try #require(try result.get())))
                connection.receiveLine(timeout: .zero) { result in
                    got.append(String(try #require(try result.get())))
                    connection.close()
                    peer.close()
                }
            }
        }
        #expect(got == ["a", "b"])
        #expect(reason == .closed)
    }
}
