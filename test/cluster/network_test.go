package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// network is a pod's: a namespace with a loopback that also has the pod's address, and
// no way out but forwarders, which stand for the cluster's Services.
type network struct {
	ip        string
	namespace *os.File
	listeners []net.Listener
}

// service is a server of the machine's as pods see it: by a name and a port.
type service struct {
	name, port string
	// target is where it listens outside.
	target string
	// tls, if not nil, is spoken inside; outside it is plain.
	tls *tls.Config
}

// address is where a pod finds the i-th service: each has an address of its own.
func (s service) address(i int) string { return fmt.Sprintf("127.1.0.%d", i+1) }

func (s service) listen(i int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(s.address(i), s.port))
	if err == nil && s.tls != nil {
		l = tls.NewListener(l, s.tls)
	}
	return l, err
}

// newNetwork makes a network and moves the calling thread into it. What that thread
// starts is in it too.
func newNetwork(ip string, services []service) (*network, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	if err := loopback(ip); err != nil {
		return nil, err
	}
	namespace, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	n := &network{ip: ip, namespace: namespace}
	for i, s := range services {
		l, err := s.listen(i)
		if err != nil {
			n.close()
			return nil, err
		}
		n.listeners = append(n.listeners, l)
		go accept(l, s.target)
	}
	return n, nil
}

// loopback gives the interface lo of this thread's namespace its own address and another.
func loopback(ip string) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, up); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	alias, err := unix.NewIfreq("lo:pod")
	if err != nil {
		return err
	}
	if err := alias.SetInet4Addr(net.ParseIP(ip).To4()); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFADDR, alias); err != nil {
		return fmt.Errorf("give lo the address %s: %w", ip, err)
	}
	return nil
}

// accept forwards connections until the listener is closed.
func accept(l net.Listener, target string) {
	for {
		inside, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer inside.Close()
			outside, err := net.Dial("tcp", target)
			if err != nil {
				return
			}
			defer outside.Close()
			go func() {
				_, _ = io.Copy(outside, inside)
				_ = outside.Close()
			}()
			_, _ = io.Copy(inside, outside)
		}()
	}
}

// dial connects to an address from inside.
func (n *network) dial(ctx context.Context, protocol, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and nobody else gets into
		// the namespace by it.
		runtime.LockOSThread()
		if err := unix.Setns(int(n.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, protocol, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

func (n *network) close() {
	for _, l := range n.listeners {
		_ = l.Close()
	}
	_ = n.namespace.Close()
}
