package redistest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/testport"
)

const (
	// patience is how long anything here may take before the test fails.
	patience = 30 * time.Second
	// attempts is how many ports are tried until one is really free.
	attempts = 10
)

// Server is one redis-server process.
type Server struct {
	// Addr is the server's host:port. It stays the same over a Restart.
	Addr string

	dir  string
	args []string
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts a server without persistence and stops it at the test's cleanup.
// It returns when the server answers.
func Start(tb testing.TB) *Server {
	tb.Helper()
	return start(tb)
}

// start starts a server with more arguments. A port that somebody else took in the
// meantime is given up for another.
func start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	var last error
	for range attempts {
		s := &Server{Addr: testport.Address(tb), dir: tb.TempDir()}
		s.args = append(slices.Clone(args),
			"--port", s.Port(), "--bind", "127.0.0.1", "--dir", s.dir, "--logfile", s.log(),
			"--save", "", "--appendonly", "no", "--daemonize", "no")
		if last = s.run(tb); last == nil {
			tb.Cleanup(func() { s.Stop(tb) })
			return s
		}
	}
	tb.Fatalf("redis-server does not start: %v", last)
	return nil
}

// Client returns a client of this server alone, closed at the test's cleanup. It
// is built as the service builds its own: a command is never repeated, and a
// context's deadline holds. Each change may alter the options first.
func (s *Server) Client(tb testing.TB, change ...func(*redis.Options)) *redis.Client {
	tb.Helper()
	options := &redis.Options{Addr: s.Addr, MaxRetries: -1, ContextTimeoutEnabled: true}
	for _, f := range change {
		f(options)
	}
	client := redis.NewClient(options)
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// Stop ends the server, at once and with all its data. Stopping a stopped server
// does nothing.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGKILL)
	select {
	case <-s.done:
	case <-time.After(patience):
		tb.Errorf("redis-server %s does not end", s.Addr)
	}
	s.cmd = nil
}

// Restart stops the server, if it runs, and starts it again at the same address,
// empty.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Stop(tb)
	if err := s.run(tb); err != nil {
		tb.Fatalf("restart redis-server: %v", err)
	}
}

// Port is the port of Addr.
func (s *Server) Port() string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

func (s *Server) log() string { return filepath.Join(s.dir, "redis.log") }

// run starts the process and waits until it is the one that answers at Addr.
func (s *Server) run(tb testing.TB) error {
	tb.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Fatal("these tests need a real Redis: apt-get install redis-server")
	}
	if s.cmd, s.done, err = spawn(program, s.args); err != nil {
		return err
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(patience)
	for s.pid() != s.cmd.Process.Pid {
		select {
		case <-poll.C:
		case <-s.done:
			s.cmd = nil
			return fmt.Errorf("it ended: %s", s.lastWords())
		case <-limit:
			s.Stop(tb)
			return fmt.Errorf("no answer in %s: %s", patience, s.lastWords())
		}
	}
	return nil
}

// spawn starts a program that does not outlive this process. done is closed when
// the program has ended.
func spawn(program string, args []string) (cmd *exec.Cmd, done chan struct{}, err error) {
	cmd = exec.Command(program, args...)
	dieWithParent(cmd)
	done, started := make(chan struct{}), make(chan error)
	go func() {
		defer close(done)
		// The thread that starts the program must live as long as the program.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", program, err)
	}
	return cmd, done, nil
}

// pid asks whoever listens at Addr for its process, so that a stranger on the
// same port is not taken for ours. Zero if nobody answers.
func (s *Server) pid() int {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("INFO server\r\n")); err != nil {
		return 0
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "process_id:"); ok {
			pid, _ := strconv.Atoi(strings.TrimSpace(value))
			return pid
		}
	}
	return 0
}

func (s *Server) lastWords() string {
	text, err := os.ReadFile(s.log())
	if err != nil {
		return "it left no log"
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// Eventually waits until ok returns true, asking every few milliseconds, and
// fails the test if that takes half a minute; what says what was waited for.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-poll.C:
		case <-limit:
			tb.Fatalf("waited %s for this in vain: %s", patience, what)
		}
	}
}
