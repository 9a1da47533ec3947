//go:build linux

package image

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// user is the number of the user and of the group that the image is run as.
const user = 65532

// volume is where the image expects its volume.
const volume = "/var/lib/refresher"

// process is the image's program, in the image's root.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	output output
	done   chan struct{}
}

// output collects what a process prints, while others read it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start starts the image's entry point as a container would: with no environment
// but the image's and env, as the image's user, in a read-only root, of which only
// the volume, kept in the folder spool, can be written to. It has no /proc, no /dev
// and no /tmp, which is less than a container gives. Without arguments it does
// what the image says.
func (i *image) start(t *testing.T, spool string, env []string, args ...string) *process {
	t.Helper()
	if len(args) == 0 {
		args = i.config.Cmd
	}
	p := &process{t: t, cmd: exec.Command(i.config.Entrypoint[0], args...), done: make(chan struct{})}
	p.cmd.Dir = "/"
	p.cmd.Env = append(append([]string{}, i.config.Env...), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: i.root, Credential: &syscall.Credential{Uid: user, Gid: user}, Pdeathsig: syscall.SIGKILL,
	}
	started := make(chan error)
	go func() {
		defer close(p.done)
		// The thread gets mounts of its own, which the process inherits. It is not
		// given back: the mounts end with it, and so does the process.
		runtime.LockOSThread()
		err := i.mount(spool)
		if err == nil {
			err = p.cmd.Start()
		}
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s in the image: %v", p.cmd, err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s:\n%s", p.cmd, &p.output)
		}
	})
	return p
}

// mount gives the calling thread a mount namespace in which the root is read-only
// and holds the spool.
func (i *image) mount(spool string) error {
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return err
	}
	for _, m := range []struct {
		source, target string
		flags          uintptr
	}{
		{"", "/", syscall.MS_PRIVATE | syscall.MS_REC},
		{i.root, i.root, syscall.MS_BIND},
		{"", i.root, syscall.MS_REMOUNT | syscall.MS_BIND | syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV},
		{spool, filepath.Join(i.root, volume), syscall.MS_BIND},
	} {
		if err := syscall.Mount(m.source, m.target, "", m.flags, ""); err != nil {
			return err
		}
	}
	return nil
}

// end waits for the end of the process and returns its exit code.
func (p *process) end() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.t.Fatal("it does not end within a minute")
	}
	return p.cmd.ProcessState.ExitCode()
}

// try runs the image's program to its end and wants a certain exit code and text.
func (i *image) try(t *testing.T, env []string, code int, text string, args ...string) {
	t.Helper()
	p := i.start(t, i.newVolume(t), env, args...)
	if got := p.end(); got != code || !strings.Contains(p.output.String(), text) {
		t.Errorf("%q ended with %d, want %d, and this, without %q:\n%s", args, got, code, text, &p.output)
	}
}
