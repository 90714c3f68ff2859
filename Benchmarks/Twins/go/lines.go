package main

import (
	"bytes"
	"errors"
	"io"
	"net"
)

var errTooLong = errors.New("line too long")

// A connection begins with a small block, since most say no more than a command.
const (
	smallBlock = 1 << 10
	largeBlock = 256 << 10
)

// lineReader divides what a connection sends into lines. What it has given away it never writes to again.
type lineReader struct {
	connection *net.TCPConn
	// What has been received lies in block[begin:end]; block[end:] is free.
	block      []byte
	begin, end int
	// How much of block[begin:end] holds no line feed for certain.
	scanned int
	// Pieces of a line that began in earlier blocks.
	earlier      [][]byte
	earlierCount int
}

func newLineReader(connection *net.TCPConn) *lineReader {
	return &lineReader{connection: connection, block: make([]byte, smallBlock)}
}

// command returns the next short line, without its ending.
func (r *lineReader) command() ([]byte, error) {
	for {
		if at := bytes.IndexByte(r.block[r.begin:r.end], '\n'); at >= 0 {
			line := r.block[r.begin : r.begin+at]
			r.begin += at + 1
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		if r.end-r.begin > longestCommand {
			return nil, errTooLong
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// wholeLines reads until there is a whole line, and returns all there are, in pieces: what ends in the block that was read
// into is one. After BYE comes io.EOF with the lines before it.
func (r *lineReader) wholeLines() ([][]byte, error) {
	for {
		whole, err := r.scan()
		if whole > 0 {
			pieces := append(r.earlier, r.block[r.begin:r.begin+whole])
			r.earlier, r.earlierCount = nil, 0
			r.begin += whole
			r.scanned = 0
			return pieces, err
		}
		if err != nil {
			return nil, err
		}
		r.scanned = r.end - r.begin
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// scan returns how many bytes of the block belong to whole lines, and io.EOF if a BYE follows them.
func (r *lineReader) scan() (int, error) {
	data := r.block[r.begin:r.end]
	start, from := 0, r.scanned
	for {
		at := bytes.IndexByte(data[from:], '\n')
		if at < 0 {
			break
		}
		next := from + at + 1
		length := next - start
		if start == 0 {
			length += r.earlierCount
		}
		if length > longestLine {
			return start, errTooLong
		}
		if length <= 5 && r.isBye(data[start:next], start == 0) {
			return start, io.EOF
		}
		start, from = next, next
	}
	rest := len(data) - start
	if start == 0 {
		rest += r.earlierCount
	}
	if rest > longestLine {
		return start, errTooLong
	}
	return start, nil
}

func (r *lineReader) isBye(end []byte, isFirst bool) bool {
	line := end
	if isFirst && r.earlierCount > 0 {
		line = append(bytes.Join(r.earlier, nil), end...)
	}
	return string(line) == "BYE\n" || string(line) == "BYE\r\n"
}

// fill reads once, into a new block if little of this one is free. Nothing that has been given away lies behind `end`.
func (r *lineReader) fill() error {
	if len(r.block)-r.end < len(r.block)/8 {
		r.changeBlock()
	}
	count, err := r.connection.Read(r.block[r.end:])
	r.end += count
	if count > 0 {
		return nil
	}
	return err
}

// changeBlock leaves the block to those who have pieces of it. A long rest stays in it too; a short one is copied.
func (r *lineReader) changeBlock() {
	block := make([]byte, largeBlock)
	rest := r.block[r.begin:r.end]
	if len(rest) > largeBlock/8 {
		r.earlier = append(r.earlier, rest)
		r.earlierCount += len(rest)
		r.scanned = 0
		rest = nil
	}
	r.block, r.begin, r.end = block, 0, copy(block, rest)
}
