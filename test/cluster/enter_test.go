package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// becomeContainer is the first argument that makes this test binary a container: its
// only work is then to enter the root and to become the container's program.
const becomeContainer = "become-container"

// containerSpec is what a container is started with.
type containerSpec struct {
	Root         string // a folder of the machine, which becomes /
	ReadOnlyRoot bool
	Mounts       []bindMount
	Hostname     string
	UID, GID     int
	Groups       []int
	NoNewPrivs   bool
	Argv, Env    []string
}

// bindMount shows a file or folder of the machine at a place in the container.
type bindMount struct {
	Source, Target string
	ReadOnly       bool
}

// enterContainer turns this process, which is in namespaces of its own, into the
// container's program. It returns only if that fails.
func enterContainer(specFile string) error {
	// Most of what follows belongs to a thread, and exec keeps that of this one.
	runtime.LockOSThread()
	text, err := os.ReadFile(specFile)
	if err != nil {
		return err
	}
	var spec containerSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	if err := spec.mount(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("set the host's name: %w", err)
	}
	if err := errors.Join(unix.Chroot(spec.Root), unix.Chdir("/")); err != nil {
		return fmt.Errorf("enter %s: %w", spec.Root, err)
	}
	if err := spec.dropPrivileges(); err != nil {
		return err
	}
	return fmt.Errorf("start %s: %w", spec.Argv[0], syscall.Exec(spec.Argv[0], spec.Argv, spec.Env))
}

func (s *containerSpec) mount() error {
	// What is mounted here is nobody else's business.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(s.Root, s.Root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", s.Root, err)
	}
	for _, m := range s.Mounts {
		target := filepath.Join(s.Root, m.Target)
		if err := unix.Mount(m.Source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.Source, m.Target, err)
		}
		if m.ReadOnly {
			if err := remountReadOnly(target); err != nil {
				return err
			}
		}
	}
	if err := unix.Mount("proc", filepath.Join(s.Root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if s.ReadOnlyRoot {
		return remountReadOnly(s.Root)
	}
	return nil
}

func remountReadOnly(target string) error {
	if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", target, err)
	}
	return nil
}

// dropPrivileges leaves no capability, for ever, and makes this process the user's.
func (s *containerSpec) dropPrivileges() error {
	for capability := range unix.CAP_LAST_CAP + 1 {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", capability, err)
		}
	}
	if err := syscall.Setgroups(s.Groups); err != nil {
		return fmt.Errorf("set groups: %w", err)
	}
	if err := syscall.Setgid(s.GID); err != nil {
		return fmt.Errorf("set the group: %w", err)
	}
	if err := syscall.Setuid(s.UID); err != nil {
		return fmt.Errorf("set the user: %w", err)
	}
	if s.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("forbid new privileges: %w", err)
		}
	}
	// A change of the user has made the kernel forget this.
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
}
