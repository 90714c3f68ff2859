// The Go twin: what `samples echo-server` and `samples pubsub-server` do, with the standard library only.
//
//	twin-go echo|pubsub [--port N]
//
// One thread runs Go code at a time (GOMAXPROCS=1), as one thread runs every other server.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	if len(os.Args) < 2 {
		explainAndExit()
	}
	flags := flag.NewFlagSet("twin-go", flag.ExitOnError)
	port := flags.Int("port", 0, "the port to listen on; 0 lets the kernel choose one")
	if err := flags.Parse(os.Args[2:]); err != nil {
		explainAndExit()
	}
	var serve func(*net.TCPConn)
	switch os.Args[1] {
	case "echo":
		serve = echo
	case "pubsub":
		serve = newBroker().serve
	default:
		explainAndExit()
	}

	runtime.GOMAXPROCS(1)
	raiseDescriptorLimit()
	// The backlog is net.core.somaxconn, which is 4096 since Linux 5.4; the package net has no way to set it.
	// Nor does any other server ask for keep-alive, which Go does otherwise, with three calls for a connection.
	configuration := net.ListenConfig{KeepAlive: -1}
	listener, err := configuration.Listen(context.Background(), "tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening on", listener.Addr())

	termination := make(chan os.Signal, 1)
	signal.Notify(termination, syscall.SIGTERM, syscall.SIGINT)
	go accept(listener.(*net.TCPListener), serve)
	<-termination
}

func explainAndExit() {
	fmt.Fprintln(os.Stderr, "usage: twin-go echo|pubsub [--port N]")
	os.Exit(64)
}

// TCP_NODELAY is what the package net sets by itself.
func accept(listener *net.TCPListener, serve func(*net.TCPConn)) {
	for {
		connection, err := listener.AcceptTCP()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		go serve(connection)
	}
}

// raiseDescriptorLimit raises the limit of open descriptors as far as this process may.
func raiseDescriptorLimit() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}
