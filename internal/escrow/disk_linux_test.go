package escrow_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"refresher/internal/escrow"
)

// exitNoMount is the exit code of a process that may not mount a disk of its own.
const exitNoMount = 77

// TestFullDisk lets another process work on a disk that is too small. Where no
// disk may be mounted, the limit on the size of files stands for it.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	cmd := child(t, "small disk", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS} // the mount ends with the process
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	err := cmd.Run()
	if exit := (&exec.ExitError{}); errors.Is(err, syscall.EPERM) || errors.As(err, &exit) && exit.ExitCode() == exitNoMount {
		t.Logf("no disk may be mounted here (%v); a limit on the size of files stands for it", err)
		shm, tmpErr := os.MkdirTemp("/dev/shm", "escrow") //nolint:usetesting // on a tmpfs the limit holds for reserved space too
		must(t, tmpErr)
		t.Cleanup(func() { _ = os.RemoveAll(shm) })
		err = child(t, "file limit", shm).Run()
	}
	if err != nil {
		t.Errorf("%v; what failed stands above", err)
	}
}

// playOnDisk plays the roles of TestFullDisk.
func playOnDisk(role, dir string) (code int, ok bool) {
	switch role {
	case "small disk":
		return onSmallDisk(dir), true
	case "file limit":
		return underFileLimit(dir), true
	default:
		return 0, false
	}
}

// onSmallDisk checks, on a disk of 2 MiB, that room which was made is kept, and
// that no more is made than there is.
func onSmallDisk(dir string) int {
	err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "")
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mount:", err)
		return exitNoMount
	}
	return exit(useUp(dir, largest, func() error { return fillUp(filepath.Join(dir, "others")) }))
}

// underFileLimit is onSmallDisk by other means: after the first room no file may
// be as large as a room.
func underFileLimit(dir string) int {
	signal.Ignore(unix.SIGXFSZ)
	return exit(useUp(dir, 1<<19, func() error {
		return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
	}))
}

// fillUp writes a file until the disk is full.
func fillUp(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return f.Close()
}

// useUp makes room, then uses up the disk, and checks what the spool can still
// do with it: keep an answer of that size, and be opened again.
func useUp(dir string, size int, use func() error) error {
	settings := escrow.Settings{Dir: dir, Keep: keep, Keys: &keys{}}
	e, err := escrow.Open(settings)
	if err != nil {
		return err
	}
	first, err := e.Room(context.Background(), ref(1), escrow.Lineage{})
	if err != nil {
		return fmt.Errorf("the first room: %w", err)
	}
	if err := use(); err != nil {
		return fmt.Errorf("use up the disk: %w", err)
	}
	_, err = e.Room(context.Background(), ref(2), escrow.Lineage{})
	if err == nil || !strings.Contains(err.Error(), "escrow.dir") || !strings.Contains(err.Error(), dir) {
		return fmt.Errorf("the second room: got %w, want an error that names the directory", err)
	}
	if !errors.Is(err, escrow.ErrSpoolFull) && !errors.Is(err, syscall.EFBIG) { // the limit on files that stands for a small disk
		return fmt.Errorf("the second room: got %w, want one that says that the disk is full", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "answers", "attempt2")); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the second room left something behind: %w", err)
	}
	if e.Held("attempt2") {
		return errors.New("the second attempt counts as held")
	}
	if err := first.Seal(context.Background(), make([]byte, size)); err != nil {
		return fmt.Errorf("seal into the first room: %w", err)
	}
	first.Release()
	// A service that is started again on a full disk finds its answer.
	if err := e.Close(); err != nil {
		return err
	}
	if e, err = escrow.Open(settings); err != nil {
		return fmt.Errorf("open on a full disk: %w", err)
	}
	if plain, err := e.Read(context.Background(), ref(1)); err != nil || len(plain) != size {
		return fmt.Errorf("%d bytes of the answer, want %d: %w", len(plain), size, err)
	}
	if err := e.Delete(context.Background(), ref(1)); err != nil {
		return err
	}
	return e.Close()
}

// TestNoPermission: a directory that the service may not write to is named, with
// the setting that it comes from.
func TestNoPermission(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path string // below the spool
		mode os.FileMode
		used bool // the spool was opened before
		room bool // it is only noticed when room is to be made
	}{
		"a new directory":  {path: ".", mode: 0o500},
		"a used directory": {path: "lock", mode: 0o400, used: true},
		"answers":          {path: "answers", mode: 0o500, used: true, room: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &rig{dir: t.TempDir(), keys: &keys{}}
			if test.used {
				r.open(t)
				must(t, r.Close())
			}
			path := filepath.Join(r.dir, test.path)
			must(t, os.Chmod(path, test.mode))
			t.Cleanup(func() { _ = os.Chmod(path, 0o700) })

			opened := false
			err := unprivileged(func() error {
				e, err := escrow.Open(escrow.Settings{Dir: r.dir, Keep: keep, Keys: r.keys})
				if err != nil {
					return err
				}
				opened = true
				_, err = e.Room(context.Background(), ref(1), escrow.Lineage{})
				return errors.Join(err, e.Close())
			})
			equal(t, "opened", opened, test.room)
			if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), r.dir) || !strings.Contains(err.Error(), "escrow.dir") {
				t.Errorf("got %v, want one that names directory, setting and cause", err)
			}
		})
	}
}

// unprivileged calls f on a thread to which permissions apply, even root's.
func unprivileged(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends with the goroutine
		header, none := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
		if err := unix.Capset(&header, &none[0]); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}
