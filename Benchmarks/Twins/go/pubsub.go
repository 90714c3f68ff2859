package main

import (
	"bytes"
	"fmt"
	"net"
	"sync"
)

const (
	longestCommand = len("SUBSCRIBE ") + 255 + 2
	longestLine    = 4 << 20
)

// broker knows the topics: the channels of the protocol, which are called otherwise here because a channel is something else
// in Go.
type broker struct {
	mutex  sync.Mutex
	topics map[string]*topic
}

// topic is who gets what is published under one name.
type topic struct {
	name        string
	mutex       sync.RWMutex
	subscribers map[*subscriber]struct{}
	publishers  int
}

func newBroker() *broker { return &broker{topics: make(map[string]*topic)} }

// serve is one connection, from its first command to its end.
func (b *broker) serve(connection *net.TCPConn) {
	lines := newLineReader(connection)
	line, err := lines.command()
	if err != nil {
		refuse(connection, err)
		return
	}
	verb, name, _ := bytes.Cut(line, []byte{' '})
	switch {
	case string(line) == "BYE":
		connection.Close()
	case string(verb) == "PUBLISH" && isName(name):
		b.publish(connection, lines, string(name))
	case string(verb) == "SUBSCRIBE" && isName(name):
		b.subscribe(connection, lines, string(name))
	default:
		refuse(connection, fmt.Errorf("unknown command, or a name that is none"))
	}
}

// publish gives every whole line to all subscribers, in pieces that they share.
func (b *broker) publish(connection *net.TCPConn, lines *lineReader, name string) {
	defer connection.Close()
	to := b.enter(name, func(t *topic) { t.publishers++ })
	defer b.leave(to, func(t *topic) { t.publishers-- })
	if _, err := connection.Write([]byte("OK\r\n")); err != nil {
		return
	}
	for {
		pieces, err := lines.wholeLines()
		if len(pieces) > 0 {
			to.write(pieces)
		}
		if err != nil {
			if err == errTooLong {
				refuse(connection, err)
			}
			return
		}
	}
}

// subscribe reads what a subscriber may still say, while its own goroutine writes to it.
func (b *broker) subscribe(connection *net.TCPConn, lines *lineReader, name string) {
	s := newSubscriber(connection)
	s.write([][]byte{[]byte("OK\r\n")})
	of := b.enter(name, func(t *topic) { t.subscribers[s] = struct{}{} })
	line, err := lines.command()
	b.leave(of, func(t *topic) { delete(t.subscribers, s) })
	if err == nil && string(line) != "BYE" {
		s.write([][]byte{[]byte("ERROR unexpected command\r\n")})
	}
	if err != nil && err != errTooLong {
		// It has gone: nobody would read the rest.
		connection.Close()
	}
	s.end()
}

func (b *broker) enter(name string, change func(*topic)) *topic {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	t := b.topics[name]
	if t == nil {
		t = &topic{name: name, subscribers: make(map[*subscriber]struct{})}
		b.topics[name] = t
	}
	t.mutex.Lock()
	change(t)
	t.mutex.Unlock()
	return t
}

func (b *broker) leave(t *topic, change func(*topic)) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	t.mutex.Lock()
	change(t)
	t.mutex.Unlock()
	if len(t.subscribers) == 0 && t.publishers == 0 {
		delete(b.topics, t.name)
	}
}

func (t *topic) write(pieces [][]byte) {
	t.mutex.RLock()
	for s := range t.subscribers {
		s.write(pieces)
	}
	t.mutex.RUnlock()
}

func isName(name []byte) bool {
	if len(name) < 1 || len(name) > 255 {
		return false
	}
	for _, b := range name {
		if b <= ' ' || b == 0x7f {
			return false
		}
	}
	return true
}

func refuse(connection *net.TCPConn, err error) {
	_, _ = fmt.Fprintf(connection, "ERROR %v\r\n", err)
	connection.Close()
}
