package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"refresher/internal/providersim"
	"refresher/internal/redistest"
)

// ownMounts gives the test, and the processes that it starts from here on, mounts of their
// own. They end with the test's thread.
func ownMounts(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked, so that the thread ends with the test
	err := syscall.Unshare(syscall.CLONE_NEWNS)
	if err == nil {
		err = syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, "")
	}
	if err != nil {
		t.Fatalf("%v: this test mounts a file system: run it as root", err)
	}
}

// readOnly makes a folder read-only for whoever looks for something in it by its name, and
// returns what ends that.
func readOnly(t *testing.T, dir string) (mend func()) {
	t.Helper()
	err := syscall.Mount(dir, dir, "", syscall.MS_BIND, "")
	if err == nil {
		err = syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
	}
	if err != nil {
		t.Fatalf("mount %s: %v", dir, err)
	}
	return func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadOnlySpool: the spool's file system becomes read-only under a running process, as
// Linux makes one whose disk fails, while an answer waits in it for a Vault that is sealed.
// The answer comes to Vault, though it cannot be cleared away; no other rotation begins, and
// the log says why; and when the disk takes writes again, all is well by itself.
func TestReadOnlySpool(t *testing.T) {
	ownMounts(t)
	s := newStage(t, providersim.Options{})
	s.sims.Checkfront.Inject(providersim.Fault{On: providersim.EndpointToken, Times: 1, DelayAfter: 2 * time.Second})
	first, _ := s.checkfront("acme/checkfront")
	dir := t.TempDir()
	p := s.run(dir, "REFRESHER_SCHEDULER_SCAN=@every 1s")
	s.sealedBeforeTheCommit(p)
	mend := readOnly(t, dir)
	s.vault.Unseal()
	redistest.Eventually(t, "the token is alive", func() bool { return s.serves(first) == "" })

	second, _ := s.checkfront("beta/checkfront")
	redistest.Eventually(t, "a rotation does not begin", func() bool {
		return s.metric(p, "refresher_protocol_events_total", `event="no_room"`) > 0
	})
	redistest.Eventually(t, "the log says why, and what stays", func() bool {
		log := p.out.String()
		return strings.Contains(log, "no rotation begins, because its answer could not be kept: make room in the spool (escrow.dir)") &&
			strings.Contains(log, "read-only file system") && strings.Contains(log, "clear the spool")
	})
	grant, version, err := s.client.Grant(t.Context(), second)
	if err != nil || version != 0 {
		t.Errorf("the second grant is %q, version %d (%v), want none", grant.State, version, err)
	}
	s.presentedOnce(1)
	if left := answers(t, dir); len(left) != 1 {
		t.Errorf("left in the spool: %v, want the one answer", left)
	}

	mend()
	redistest.Eventually(t, "the second token is alive too", func() bool { return s.serves(second) == "" })
	redistest.Eventually(t, "the spool is cleared", func() bool { return len(answers(t, dir)) == 0 })
	if kept, err := os.ReadDir(filepath.Join(dir, "kept")); err != nil || len(kept) != 2 {
		t.Errorf("kept: %v, %v, want the last answer of each", kept, err)
	}
	if matter := s.serves(first); matter != "" {
		t.Error(matter)
	}
	s.presentedOnce(2)
	s.noSecrets("the log", p.out.String())
	p.stop()
}
