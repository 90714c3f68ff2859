package main

import "net"

// What one read can bring: 16 messages of 4 KiB.
const echoBuffer = 64 << 10

// A connection that sends little keeps little.
const echoBufferAtFirst = 1 << 10

// echo sends back what it receives. The write waits for a peer that does not read, and with it the next read.
//
// io.Copy would splice through a pipe: three system calls for a message where this makes two.
func echo(connection *net.TCPConn) {
	defer connection.Close()
	buffer := make([]byte, echoBufferAtFirst)
	for {
		count, err := connection.Read(buffer)
		if count > 0 {
			if _, err := connection.Write(buffer[:count]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
		if count == len(buffer) && count < echoBuffer {
			buffer = make([]byte, 4*len(buffer))
		}
	}
}
