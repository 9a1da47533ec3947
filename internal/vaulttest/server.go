package vaulttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"refresher/internal/testport"
)

const (
	rootToken = "root"
	// startLimit is how long a server may take to say that it is ready.
	startLimit = 60 * time.Second
	// requestLimit is how long one request of a test's may take.
	requestLimit = 30 * time.Second
)

// Server is a running Vault, unsealed, with a KV version 2 store at secret/.
// Its methods end the test if they fail.
type Server struct {
	// Address is the server's URL.
	Address string
	// RootToken may do everything.
	RootToken string
	// UnsealKey is the one key that unseals.
	UnsealKey string

	tb      testing.TB
	storage string
	listen  string
	client  *api.Client
	process *exec.Cmd
	exited  chan struct{}
}

// Option changes how Start starts a server.
type Option func(*Server)

// WithStorage keeps the server's data in a directory, which Restart needs.
// Without it they are in memory.
func WithStorage(dir string) Option { return func(s *Server) { s.storage = dir } }

// WithListen has the server listen on a certain loopback address, instead of a free port.
func WithListen(address string) Option { return func(s *Server) { s.listen = address } }

// Start starts a server and waits until it is ready. It is killed at the end of
// the test tb.
func Start(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	s := &Server{tb: tb, listen: testport.Address(tb)}
	for _, option := range options {
		option(s)
	}
	tb.Cleanup(s.Kill)
	s.start()
	return s
}

// Kill ends the server at once, as a crash would. Killing it twice is no error.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	<-s.exited
	s.process = nil
	s.client.CloneConfig().HttpClient.CloseIdleConnections()
}

// Restart kills the server and starts it again on its storage and the same address.
func (s *Server) Restart() {
	s.tb.Helper()
	if s.storage == "" {
		s.tb.Fatal("vaulttest: Restart needs WithStorage: all data would be lost")
	}
	s.listen = strings.TrimPrefix(s.Address, "http://")
	s.Kill()
	s.start()
}

// Client returns a client with the root token. It never repeats a request.
func (s *Server) Client() *api.Client { return s.client }

func (s *Server) start() {
	s.tb.Helper()
	binary, err := find("vault-dev")
	if err != nil {
		s.tb.Fatalf("vaulttest: %v", err)
	}
	args := []string{"-listen", s.listen, "-root-token", rootToken}
	if s.storage != "" {
		args = append(args, "-storage", s.storage)
	}
	// The process outlives any context of the test's: its end is the cleanup's.
	process := exec.CommandContext(context.WithoutCancel(s.tb.Context()), binary, args...)
	process.SysProcAttr = childOfTest()
	log := &strings.Builder{}
	process.Stderr = log
	stdout, err := process.StdoutPipe()
	if err != nil {
		s.tb.Fatalf("vaulttest: start %s: %v", binary, err)
	}
	exited, started, ready := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	go func() {
		defer close(exited)
		// The kernel ends the server with the thread that started it.
		runtime.LockOSThread()
		err := process.Start()
		if started <- err; err != nil {
			return
		}
		ready <- s.readAnnouncement(stdout)
		_ = process.Wait()
	}()
	if err := <-started; err != nil {
		s.tb.Fatalf("vaulttest: start %s: %v", binary, err)
	}
	s.process, s.exited = process, exited
	select {
	case err = <-ready:
	case <-time.After(startLimit):
		err = errors.New("not ready in time")
	}
	if err == nil {
		s.client, err = newClient(s.Address)
	}
	if err != nil {
		_ = process.Process.Kill()
		<-s.exited
		s.process = nil
		s.tb.Fatalf("vaulttest: %v\n%s", err, log)
	}
	s.client.SetToken(s.RootToken)
}

// readAnnouncement reads what the server prints until it says that it is ready.
func (s *Server) readAnnouncement(stdout io.Reader) error {
	values := map[string]*string{"unseal key": &s.UnsealKey, "root token": &s.RootToken, "address": &s.Address}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return nil
		}
		key, value, _ := strings.Cut(lines.Text(), ": ")
		if field := values[key]; field != nil {
			*field = value
		}
	}
	return errors.New("the server ended before it was ready")
}

func newClient(address string) (*api.Client, error) {
	config := api.DefaultConfig()
	config.Address, config.AgentAddress = address, ""
	config.MaxRetries = 0
	config.Timeout = requestLimit
	return api.NewClient(config)
}

// find returns a program in bin/ of this repository, whose root is the nearest
// folder above with the go.mod of the module refresher.
func find(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), "module refresher\n") {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("there is no go.mod of the module refresher above the test")
		}
		dir = parent
	}
	program := filepath.Join(dir, "bin", name)
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("%s is missing: run make tools", program)
	}
	return program, nil
}
