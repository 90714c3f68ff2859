package main

import (
	"net"
	"sync"
)

// The most that may wait for a subscriber.
const maximumPending = 64 << 20

// subscriber is a queue of pieces, and the goroutine that sends them: all that wait leave with one writev.
type subscriber struct {
	connection *net.TCPConn
	mutex      sync.Mutex
	changed    sync.Cond
	queue      [][]byte
	pending    int
	ended      bool
}

func newSubscriber(connection *net.TCPConn) *subscriber {
	s := &subscriber{connection: connection}
	s.changed.L = &s.mutex
	go s.send()
	return s
}

// write queues pieces, which nobody changes any more, or disconnects who does not keep up.
func (s *subscriber) write(pieces [][]byte) {
	count := 0
	for _, piece := range pieces {
		count += len(piece)
	}
	s.mutex.Lock()
	if s.pending+count > maximumPending {
		s.ended, s.queue = true, nil
		s.connection.Close()
	} else if !s.ended {
		s.queue = append(s.queue, pieces...)
		s.pending += count
	}
	waits := len(s.queue) == len(pieces)
	s.mutex.Unlock()
	if waits {
		s.changed.Signal()
	}
}

// end lets the queue run dry, then closes.
func (s *subscriber) end() {
	s.mutex.Lock()
	s.ended = true
	s.mutex.Unlock()
	s.changed.Signal()
}

func (s *subscriber) send() {
	defer s.connection.Close()
	var taken [][]byte
	for {
		s.mutex.Lock()
		for len(s.queue) == 0 && !s.ended {
			s.changed.Wait()
		}
		if len(s.queue) == 0 {
			s.mutex.Unlock()
			return
		}
		// The two arrays take turns, so that a steady state allocates none.
		taken, s.queue = s.queue, taken[:0]
		s.mutex.Unlock()

		count := 0
		for _, piece := range taken {
			count += len(piece)
		}
		var err error
		if len(taken) == 1 {
			_, err = s.connection.Write(taken[0])
		} else {
			buffers := net.Buffers(taken)
			_, err = buffers.WriteTo(s.connection)
		}
		for index := range taken {
			taken[index] = nil
		}
		s.mutex.Lock()
		s.pending -= count
		if err != nil {
			s.ended, s.queue = true, nil
		}
		s.mutex.Unlock()
		if err != nil {
			return
		}
	}
}
