package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a program that the rig has started, and that does not outlive it.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	log  string
	from int64 // where its own part of the log begins
}

// spawn starts a program with its output appended to a file.
func spawn(log string, env []string, program string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	from, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	// The system ends it with the thread that has started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, done: make(chan struct{}), log: log, from: from}
	started := make(chan error)
	go func() {
		defer close(p.done)
		defer func() { _ = out.Close() }()
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return p, nil
}

// kill ends it at once and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// ended reports whether it has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// said returns the first bytes that it has written, and the last.
func (p *process) said() (first, last string) {
	const bytes = 64 << 10
	f, err := os.Open(p.log)
	if err != nil {
		return "", ""
	}
	defer func() { _ = f.Close() }()
	size, _ := f.Seek(0, io.SeekEnd)
	head, tail := make([]byte, min(bytes, size-p.from)), make([]byte, min(bytes, size-p.from))
	_, _ = f.ReadAt(head, p.from)
	_, _ = f.ReadAt(tail, size-int64(len(tail)))
	return string(head), string(tail)
}

// eventually asks every few milliseconds until ok, for as long as patience allows.
func eventually(patience time.Duration, ok func() bool) bool {
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-poll.C:
		case <-limit:
			return false
		}
	}
	return true
}
