package cli

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestParseLock(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		line  string
		pid   int
		dev   string
		inode uint64
	}{
		{"1: FLOCK  ADVISORY  WRITE 708 08:01:1234 0 EOF\n", 708, "08:01", 1234},
		{"2: POSIX  ADVISORY  WRITE 708 08:01:1234 0 EOF\n", 0, "", 0},
		{"3: FLOCK  ADVISORY  READ  708 08:01:1234 0 EOF\n", 0, "", 0},
		{"4: FLOCK  ADVISORY  WRITE x 08:01:1234 0 EOF\n", 0, "", 0},
		{"4: FLOCK  ADVISORY  WRITE 7 1234 0 EOF\n", 0, "", 0},
		{"4: FLOCK  ADVISORY  WRITE 7 08:01:x 0 EOF\n", 0, "", 0},
		{"5: -> FLOCK  ADVISORY  WRITE 708 08:01:1234 0 EOF\n", 0, "", 0}, // it waits
		{"\n", 0, "", 0},
	} {
		if pid, dev, inode := parseLock(tc.line); pid != tc.pid || dev != tc.dev || inode != tc.inode {
			t.Errorf("%q is %d %q %d", tc.line, pid, dev, inode)
		}
	}
}

func TestLockHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	if pid, known := lockHolder(path); pid != 0 || !known {
		t.Errorf("absent: %d %v", pid, known)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if pid, known := lockHolder(path); pid != os.Getpid() || !known {
		t.Errorf("held: %d %v", pid, known)
	}
	info, err := f.Stat()
	if err != nil || !hasOpen(os.Getpid(), info) || hasOpen(1<<30, info) {
		t.Error("who has it open is not found")
	}
}
