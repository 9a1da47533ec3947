package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"refresher/internal/vaultsim"
)

// asProgram makes the test binary be the program.
const asProgram = "TEST_AS_PROGRAM=1"

func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_PROGRAM") != "" {
		os.Exit(run())
	}
	os.Exit(m.Run())
}

// program is the program as a process of its own.
type program struct {
	t   *testing.T
	cmd *exec.Cmd
	// done is closed when the process has ended.
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// Write collects what the process prints.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *program) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func start(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], args...), done: make(chan struct{})}
	p.cmd.Env = append([]string{asProgram, "HOME=" + t.TempDir()}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	return p
}

// await waits until the process has printed a text.
func (p *program) await(text string) {
	p.t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(30 * time.Second)
	for !strings.Contains(p.String(), text) {
		select {
		case <-poll.C:
		case <-limit:
			p.t.Fatalf("waited in vain for %q in:\n%s", text, p)
		}
	}
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// insist sends a signal until the process has ended.
func (p *program) insist(s os.Signal) {
	p.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit := time.After(30 * time.Second)
	for {
		select {
		case <-p.done:
			return
		case <-limit:
			p.t.Fatalf("it does not end:\n%s", p)
		case <-again.C:
			_ = p.cmd.Process.Signal(s) // it may have ended just now
		}
	}
}

// end waits for the process and returns how it ended.
func (p *program) end() syscall.WaitStatus {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.t.Fatalf("it does not end:\n%s", p)
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		p.t.Fatal("this system does not say how a process ended")
	}
	return status
}

// environment is that of a service with a Vault of its own, in which there is one
// credential at a provider.
func environment(t *testing.T, fields ...string) []string {
	t.Helper()
	vault := httptest.NewServer(vaultsim.New("root"))
	t.Cleanup(vault.Close)
	env := []string{
		"VAULT_ADDR=" + vault.URL, "VAULT_TOKEN=root", "REFRESHER_ESCROW_DIR=" + filepath.Join(t.TempDir(), "spool"),
		"REFRESHER_HTTP_LISTEN=127.0.0.1:0", "REFRESHER_EGRESS_ALLOW=127.0.0.1",
	}
	put := start(t, env, append([]string{"credentials", "put", "acme/main"}, fields...)...)
	if status := put.end(); status.ExitStatus() != 0 {
		t.Fatal(put)
	}
	return env
}

func TestSignals(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 8), make(chan struct{})
	provider := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(provider.Close)
	t.Cleanup(func() { close(release) })

	t.Run("one stops it", func(t *testing.T) {
		t.Parallel()
		for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
			p := start(t, environment(t, "provider=kibo", "client_id=a", "client_secret=b", "base_url=http://127.0.0.1:1"), "run")
			p.await("refresher is running")
			p.signal(signal)
			if status := p.end(); !status.Exited() || status.ExitStatus() != 0 {
				t.Errorf("%v: it ended with %v\n%s", signal, status, p)
			}
		}
	})
	t.Run("the second ends it at once", func(t *testing.T) {
		t.Parallel()
		// A rotation that was sent is waited for; any other call would be given up at once.
		env := environment(t, "provider=checkfront", "client_id=a", "client_secret=b", "refresh_token=c", "base_url="+provider.URL)
		p := start(t, env, "run", "--set", "renewal.rotation_timeout=5m", "--set", "renewal.shutdown_grace=5m",
			"--set", "scheduler.visibility_timeout=1h")
		<-asked
		p.signal(syscall.SIGTERM)
		// The second one counts from the moment that the first was taken in.
		p.insist(syscall.SIGTERM)
		if status := p.end(); !status.Signaled() || status.Signal() != syscall.SIGTERM {
			t.Errorf("it ended with %v\n%s", status, p)
		}
	})
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for code, args := range map[int][]string{0: {"version"}, 1: {"run"}, 2: {"rnu"}} {
		p := start(t, nil, args...)
		if status := p.end(); status.ExitStatus() != code {
			t.Errorf("%v ended with %d\n%s", args, status.ExitStatus(), p)
		}
	}
}
