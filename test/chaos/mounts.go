package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// mountsVariable tells a process that it has mounts of its own.
const mountsVariable = "CHAOS_OWN_MOUNTS"

// smallDisks reports whether disks may be mounted. Without them a spool's disk is
// never full.
func smallDisks() bool { return os.Getenv(mountsVariable) != "" }

// inOwnMounts runs this program once more with mounts of its own, which are gone with
// it however it ends, and returns the exit code. It reports false to the one that is
// to do the work: the program that was started so or, where the system allows no
// mounts, not even in a user namespace, this one.
func inOwnMounts() (code int, done bool) {
	if smallDisks() {
		if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
			_ = os.Unsetenv(mountsVariable)
		}
		return 0, false
	}
	runtime.LockOSThread() // the death of the thread is the child's
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), mountsVariable+"=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return 0, false
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for s := range told {
			if s == syscall.SIGTERM { // Ctrl-C reaches the child by itself
				_ = cmd.Process.Signal(s)
			}
		}
	}()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), true
	}
	return 0, err == nil
}
