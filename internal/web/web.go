// Package web is the service's own HTTP server: whether it lives, whether it is
// ready, and its metrics. It shows no credential.
package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Check is one thing that readiness depends on. Err is nil if it is well.
type Check struct {
	Name string
	Err  error
}

// Status is what the server asks the service.
type Status interface {
	// Live returns an error if the loop stands still. It never depends on another server.
	Live() error
	// Ready returns what the service needs, each with what is wrong with it.
	Ready() []Check
}

// Server is the HTTP server.
type Server struct {
	http     *http.Server
	listener net.Listener
}

// Listen opens the address and returns a server that Serve starts.
func Listen(address string, status Status, metrics http.Handler) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on http.listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, []Check{{"loop", status.Live()}}) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, status.Ready()) })
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "refresher\n\n/livez    is the loop running\n/readyz   can it work\n/metrics  for Prometheus\n")
	})
	return &Server{listener: listener, http: &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}}, nil
}

// answer says each check in a line: 200 if all are well, else 503.
func answer(w http.ResponseWriter, checks []Check) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	code := http.StatusOK
	for _, c := range checks {
		if c.Err != nil {
			code = http.StatusServiceUnavailable
		}
	}
	w.WriteHeader(code)
	for _, c := range checks {
		if c.Err != nil {
			_, _ = fmt.Fprintf(w, "%s: %v\n", c.Name, c.Err)
			continue
		}
		_, _ = fmt.Fprintf(w, "%s: ok\n", c.Name)
	}
}

// Address is where the server listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Serve answers requests until ctx ends, then lets those under way finish within limit.
func (s *Server) Serve(ctx context.Context, limit time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}
