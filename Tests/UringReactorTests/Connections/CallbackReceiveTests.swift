import SystemPackage
import Testing

@testable import UringReactor

/// What callbacks get who ask for bytes: lines, exact numbers, whatever there is.
@Suite struct CallbackReceiveTests {
    /// Asks for line after line until the end or an error.
    private func lines(
        of connection: Connection, limit: Int = 65536, _ done: @escaping ([String], IOError?) -> Void
    ) {
        var all: [String] = []
        func next() {
            connection.receiveLine(limit: limit) { result in
                switch result {
                case .success(let line?):
                    all.append(String(line))
                    next()
                case .success(nil): done(all, nil)
                case .failure(let error): done(all, error)
                }
            }
        }
        next()
    }

    // Each piece is sent when the one before has been received, so lines are put together from several receives, and the
    // next receive is asked for inside of a callback.
    @Test func linesThatComeInPiecesAreWhole() throws {
        let pieces = ["on", "e\r", "\ntwo\nth", "ree", "\n", "\n\r\n", "fo", "ur\n", "five\r\n"]
        var got: [String] = []
        let reason = try withConnection { connection, peer, reactor in
            // Ping-pong: a piece goes out when the table has counted all that went before.
            var rest = pieces[...]
            var sent: UInt64 = 0
            func feed() {
                guard reactor.statistics.bytesReceived == sent else { return reactor.after(.zero, feed).ignore() }
                guard let piece = rest.popFirst() else { return peer.close() }
                peer.send(piece)
                sent += UInt64(piece.utf8.count)
                reactor.after(.zero, feed)
            }
            feed()
            lines(of: connection) { all, error in
                got = all
                #expect(error == nil)
                connection.close()
            }
        }
        #expect(got == ["one", "two", "three", "", "", "four", "five"])
        #expect(reason == .closed)
    }

    @Test func exactNumbersThatComeInPiecesAreWhole() throws {
        var got: [String] = []
        try withConnection { connection, peer, reactor in
            var rest = ["ab", "cd", "ef", "ghij", "k", "l"][...]
            var sent: UInt64 = 0
            func feed() {
                guard reactor.statistics.bytesReceived == sent else { return reactor.after(.zero, feed).ignore() }
                guard let piece = rest.popFirst() else { return peer.close() }
                peer.send(piece)
                sent += UInt64(piece.utf8.count)
                reactor.after(.zero, feed)
            }
            feed()
            func next() {
                connection.receive(exactly: 3) { result in
                    guard let bytes = try result.get() else { return connection.close() }
                    got.append(String(bytes))
                    next()
                }
            }
            next()
        }
        #expect(got == ["abc", "def", "ghi", "jkl"])
    }

    @Test(arguments: ["\n", "\r\n"], [-1, 0, 1]) func aLineMayBeAsLongAsItsLimit(ending: String, excess: Int) throws {
        let line = String(repeating: "x", count: 10 + excess)
        var got: [String] = []
        var failure: IOError?
        try withConnection { connection, peer, _ in
            peer.send(line + ending + "next\n")
            peer.close()
            lines(of: connection, limit: 10) { all, error in
                (got, failure) = (all, error)
                connection.close()
            }
        }
        #expect(failure?.errno == (excess > 0 ? .messageTooLong : nil))
        #expect(got == (excess > 0 ? [] : [line, "next"]))
    }

    // Whether its ending has come or not, a line that is too long stays where it is.
    @Test(arguments: ["", "\n", "\r\n"]) func aLineThatIsTooLongCanBeReadOtherwise(ending: String) throws {
        var rest = ""
        try withConnection { connection, peer, _ in
            peer.send("123456" + ending)
            peer.shutdownSending()
            connection.receiveLine(limit: 4) { result in
                #expect(throws: IOError(.receive, .messageTooLong, target: "\(connection)")) { try result.get() }
                connection.receive(exactly: 6 + ending.utf8.count) { result in
                    rest = String(try #require(try result.get()))
                    connection.close()
                }
            }
        }
        #expect(rest == "123456" + ending)
    }

    @Test func noLimitIsALimitToo() throws {
        var got: String?
        try withConnection { connection, peer, _ in
            peer.send("abc")
            connection.receiveLine(limit: .max) { result in
                got = try result.get().map { String($0) }
                connection.close()
            }
            peer.send("d\n")
        }
        #expect(got == "abcd")
    }

    @Test func theEndWithinALineIsAnErrorAndLosesNothing() throws {
        var got: String?
        var end: Bytes? = "not yet"
        try withConnection { connection, peer, _ in
            peer.send("half a li")
            peer.close()
            connection.receiveLine { result in
                #expect(throws: IOError(.receive, Errno(rawValue: 61), target: "\(connection)")) { try result.get() }
                connection.receive { result in
                    got = try result.get().map { String($0) }
                    connection.receive { result in
                        end = try result.get()
                        connection.close()
                    }
                }
            }
        }
        #expect(got == "half a li")
        #expect(end == nil)
    }

    @Test func receivesUpTo() throws {
        var got: [String] = []
        try withConnection { connection, peer, _ in
            peer.send("abcdefg")
            peer.close()
            func next() {
                connection.receive(upTo: 3) { result in
                    guard let bytes = try result.get() else { return connection.close() }
                    #expect(bytes.count <= 3)
                    got.append(String(bytes))
                    next()
                }
            }
            next()
        }
        #expect(got.joined() == "abcdefg")
    }

    @Test func aSecondReceiveAtATimeIsRefused() throws {
        var refusal: IOError?
        var got: String?
        try withConnection { connection, peer, _ in
            connection.receive { result in
                got = try result.get().map { String($0) }
                connection.close()
            }
            connection.receive { result in
                if case .failure(let error) = result { refusal = error }
                peer.send("x")
            }
        }
        #expect(refusal?.errno == .alreadyInProcess)
        #expect(got == "x")
    }

    // What came while nobody asked must not be lost, even if the user turned reading on by hand.
    @Test func readingByHandLosesNothing() throws {
        var got = ""
        try withConnection { connection, peer, reactor in
            peer.send("a\nb\n")
            connection.receiveLine { result in
                got += String(try #require(try result.get()))
                connection.resumeReading()
                peer.send("c\n")
                func wait() {
                    guard reactor.statistics.bytesReceived == 6 else { return reactor.after(.zero, wait).ignore() }
                    peer.close()
                    lines(of: connection) { all, _ in
                        got += all.joined()
                        connection.close()
                    }
                }
                wait()
            }
        }
        #expect(got == "abc")
    }

    // MARK: - Ends

    // Having ended our own sending, the peer's end is an end, not an error.
    @Test(arguments: [false, true]) func theEndAfterAHalfCloseIsAnEnd(isPartial: Bool) throws {
        var answer: Result<Bytes?, IOError>?
        let reason = try withConnection { connection, peer, reactor in
            connection.send("request") { _ in
                connection.shutdownSending()
                // The end goes out when the callback has returned.
                reactor.after(.zero) {
                    #expect(peer.receiveText() == "request")
                    if isPartial { peer.send("part") }
                    peer.close()
                    connection.receiveLine { answer = $0 }
                }
            }
        }
        if isPartial {
            #expect(throws: IOError.self) { try answer?.get() }
        } else {
            #expect(answer == .success(nil))
        }
        #expect(reason == .bothEnded)
    }

    @Test func aPeersEndWhileNobodyReceivesIsHeld() throws {
        var answer: Result<Bytes?, IOError>?
        try withConnection { connection, peer, reactor in
            // Starts a receive that the timeout leaves in flight, unasked for.
            connection.receive(timeout: .zero) { result in
                #expect(throws: IOError.self) { try result.get() }
                peer.close()
                reactor.after(.milliseconds(5)) {
                    connection.receive {
                        answer = $0
                        connection.close()
                    }
                }
            }
        }
        #expect(answer == .success(nil))
    }

    @Test func aReceiveThatWaitsHearsOfTheEnd() throws {
        var errnos: [Errno] = []
        let reason = try withConnection { connection, peer, _ in
            connection.receive { result in
                if case .failure(let error) = result { errnos.append(error.errno) }
            }
            connection.abort()
        }
        #expect(errnos == [.canceled])
        #expect(reason == .aborted)
    }

    @Test func aReceiveOnAnEndedConnectionFailsLater() throws {
        var errnos: [Errno] = []
        try withConnection { connection, peer, _ in
            peer.close()
            connection.close()
            var hasReturned = false
            connection.receive { result in
                #expect(hasReturned)
                if case .failure(let error) = result { errnos.append(error.errno) }
            }
            hasReturned = true
        }
        #expect(errnos == [.socketNotConnected])
    }
}

extension OperationToken {
    /// For `return reactor.after(…)` in functions without a result.
    func ignore() {}
}
