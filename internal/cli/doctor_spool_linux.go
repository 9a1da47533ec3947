package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// mayWrite reports whether this user may make files in a directory.
func mayWrite(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }

// lockHolder returns the process that holds the lock on a file, 0 if none is
// seen. It looks into the kernel's list, since trying the lock would mean to hold
// it for a moment. Locks of processes in other PID namespaces are not on the list.
func lockHolder(path string) (pid int, known bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, true
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(locks)) {
		pid, dev, inode := parseLock(line)
		if pid <= 0 || inode != stat.Ino {
			continue
		}
		if dev == fmt.Sprintf("%02x:%02x", unix.Major(stat.Dev), unix.Minor(stat.Dev)) || hasOpen(pid, info) {
			return pid, true
		}
	}
	return 0, true
}

// parseLock reads a line of /proc/locks such as
// "1: FLOCK  ADVISORY  WRITE 708 08:01:1234 0 EOF"; zeros if it is no lock of that kind.
func parseLock(line string) (pid int, dev string, inode uint64) {
	f := strings.Fields(line)
	if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" {
		return 0, "", 0
	}
	pid, err := strconv.Atoi(f[4])
	cut := strings.LastIndex(f[5], ":")
	if err != nil || cut < 0 {
		return 0, "", 0
	}
	inode, err = strconv.ParseUint(f[5][cut+1:], 10, 64)
	if err != nil {
		return 0, "", 0
	}
	return pid, f[5][:cut], inode
}

// hasOpen reports whether a process has a file open. File systems such as btrfs
// show another device in the list of locks than in the file's own data.
func hasOpen(pid int, file fs.FileInfo) bool {
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return false
	}
	for _, link := range links {
		if open, err := os.Stat(link); err == nil && os.SameFile(open, file) {
			return true
		}
	}
	return false
}
