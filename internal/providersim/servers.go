package providersim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Servers are listeners for the five simulators. They must be closed.
type Servers struct {
	nodes  map[string]*node
	client *http.Client
}

// node is the listener of one simulator.
type node struct {
	handler http.Handler
	base    string // what the provider's base URL has after the address
	addr    string // host and port, the same for life

	mu     sync.Mutex
	server *http.Server // nil while down
	stop   context.CancelFunc
	done   chan struct{} // closed when the accept loop has ended
}

// Start serves the simulators on free ports of the host, such as "127.0.0.1". It may be called more than once; all Servers
// share the same providers.
func (p *Providers) Start(listenHost string) (*Servers, error) {
	s := &Servers{
		nodes: map[string]*node{},
		client: &http.Client{
			Transport:     &http.Transport{},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for handler, base := range map[*Simulator]string{
		p.Checkfront.Simulator: "", p.Bookeo.Simulator: bookeoBase, p.ClicRDV.Simulator: "", p.Ankor.Simulator: "", p.Kibo.Simulator: "",
	} {
		n := &node{handler: handler, base: base, addr: net.JoinHostPort(listenHost, "0")}
		if err := n.up(); err != nil {
			s.Close()
			return nil, err
		}
		s.nodes[handler.name] = n
	}
	return s, nil
}

// URL returns the base URL of a provider as a credential's base_url has it, Bookeo's with /v2; "" for an unknown name.
func (s *Servers) URL(provider string) string {
	n := s.nodes[provider]
	if n == nil {
		return ""
	}
	return "http://" + n.addr + n.base
}

// Down closes a provider's port and cuts its connections, so that dialling it is refused. Requests still delayed have no
// effect. It may be repeated.
func (s *Servers) Down(provider string) error {
	n := s.nodes[provider]
	if n == nil {
		return fmt.Errorf("providersim: no provider %q", provider)
	}
	n.down()
	return nil
}

// Up opens a provider's port again, the same one. It may be repeated.
func (s *Servers) Up(provider string) error {
	n := s.nodes[provider]
	if n == nil {
		return fmt.Errorf("providersim: no provider %q", provider)
	}
	return n.up()
}

// Close takes all providers down, ends delays and returns when nothing is accepted any more. It may be repeated.
func (s *Servers) Close() {
	for _, n := range s.nodes {
		n.down()
	}
	s.client.CloseIdleConnections()
}

func (n *node) up() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", n.addr)
	if err != nil {
		return fmt.Errorf("providersim: %w", err)
	}
	if addr := listener.Addr().String(); addr != n.addr {
		n.addr = addr // the first time only, before anybody can ask for it
	}
	serving, stop := context.WithCancel(context.Background())
	server := &http.Server{
		Handler:           n.handler,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(serving, servingKey{}, serving)
		},
	}
	done := make(chan struct{})
	n.server, n.stop, n.done = server, stop, done
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic("providersim: cannot serve: " + err.Error())
		}
	}()
	return nil
}

func (n *node) down() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server == nil {
		return
	}
	n.stop()
	_ = n.server.Close()
	<-n.done
	n.server = nil
}
