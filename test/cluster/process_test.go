package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a server that does not outlive the test.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	// ended is closed when it has ended, after err was set.
	ended chan struct{}
	err   error
}

// spawn starts a program, with its output in a file of the folder. before, if not nil,
// runs on the thread that then starts it, so that it can prepare what is inherited.
func spawn(dir, name string, cmd *exec.Cmd, before func() error) (*process, error) {
	p := &process{name: name, cmd: cmd, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// The kernel kills it when the test dies without having cleaned up.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	go func() {
		defer close(p.ended)
		// For the kernel the parent is this thread, which must therefore live as long.
		runtime.LockOSThread()
		var err error
		if before != nil {
			err = before()
		}
		if err == nil {
			err = cmd.Start()
		}
		_ = log.Close() // the child has its own
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// end sends a signal, and SIGKILL to what has not ended after the grace.
func (p *process) end(signal syscall.Signal, grace time.Duration) {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.ended:
		return
	case <-time.After(grace):
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// alive returns an error with the last of its log if it has ended.
func (p *process) alive() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended (%w):\n%s", p.name, p.err, p.lastWords())
	default:
		return nil
	}
}

func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
