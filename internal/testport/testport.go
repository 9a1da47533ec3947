// Package testport finds ports for servers that tests start as programs of their own.
package testport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Ports are taken from below the range that the system gives to outgoing connections
// and to listeners that leave the choice to it. A server that was stopped finds its
// own again, and nobody else listens there meanwhile.
const (
	first = 20000
	count = 12000
)

// given are the ports that this process was given.
var given sync.Map

// Free returns a port of the loopback on which nobody listens just now, and never the
// same one twice. Another process of tests may take it before the caller does.
func Free() (int, error) {
	for range 1000 {
		port := first + rand.IntN(count)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", address(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("testport: no free port on the loopback")
}

// Address returns the host:port of a port that is Free.
func Address(tb testing.TB) string {
	tb.Helper()
	port, err := Free()
	if err != nil {
		tb.Fatal(err)
	}
	return address(port)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
