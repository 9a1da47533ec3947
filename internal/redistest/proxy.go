package redistest

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// Proxy stands between clients and a server and can lose what passes through it.
// All its methods may be called at once.
type Proxy struct {
	// Addr is where clients find the server through the proxy.
	Addr string

	listener net.Listener
	server   string
	wait     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	cut   bool
	match []byte
	lose  int
}

// Proxy starts a proxy in front of the server, stopped at the test's cleanup.
func (s *Server) Proxy(tb testing.TB) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	p := &Proxy{Addr: l.Addr().String(), listener: l, server: s.Addr, conns: map[net.Conn]bool{}}
	p.wait.Go(p.accept)
	tb.Cleanup(func() {
		_ = l.Close()
		p.Cut()
		p.wait.Wait()
	})
	return p
}

// LoseReply makes the next n requests that contain the bytes of match reach the
// server and take effect there, while their reply never arrives: the connection
// is closed instead.
func (p *Proxy) LoseReply(match string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.match, p.lose = []byte(match), n
}

// Pending returns how many of the replies that LoseReply asked for are not lost yet.
func (p *Proxy) Pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lose
}

// Cut closes every connection and refuses new ones until Heal.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		_ = c.Close()
	}
}

// Heal lets connections through again after a Cut.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil || !p.admit(client, server) {
			_ = client.Close()
			if server != nil {
				_ = server.Close()
			}
			continue
		}
		l := &link{proxy: p, client: client, server: server}
		p.wait.Go(l.requests)
		p.wait.Go(l.replies)
	}
}

// admit remembers the connections, unless the proxy is cut.
func (p *Proxy) admit(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return false
	}
	for _, c := range conns {
		p.conns[c] = true
	}
	return true
}

// loses reports whether the reply to this request is to be lost, and counts it.
func (p *Proxy) loses(request []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose == 0 || !bytes.Contains(request, p.match) {
		return false
	}
	p.lose--
	return true
}

// link is one client's connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn

	mu   sync.Mutex
	lost bool
}

func (l *link) requests() {
	defer l.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := l.client.Read(buffer)
		if err != nil {
			return
		}
		if l.proxy.loses(buffer[:n]) {
			l.mu.Lock()
			l.lost = true
			l.mu.Unlock()
		}
		if _, err := l.server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (l *link) replies() {
	defer l.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := l.server.Read(buffer)
		if err != nil {
			return
		}
		l.mu.Lock()
		lost := l.lost
		l.mu.Unlock()
		if lost {
			return
		}
		if _, err := l.client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	delete(l.proxy.conns, l.client)
	delete(l.proxy.conns, l.server)
}
