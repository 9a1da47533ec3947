package simulation

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	oneSeed   = flag.Uint64("seed", 0, "play this seed alone, and tell its whole story")
	firstSeed = flag.Uint64("from", 1, "the first of the seeds to play")
	seeds     = flag.Int("seeds", 300, "how many seeds to play")
)

func TestMain(m *testing.M) {
	// What the spools write durably goes to memory: a kill leaves it in place there
	// as it does on a disk.
	if _, err := os.Stat("/dev/shm"); err == nil && os.Getenv("TMPDIR") == "" {
		_ = os.Setenv("TMPDIR", "/dev/shm")
	}
	os.Exit(m.Run())
}

// TestSimulation plays one world for each seed.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if *oneSeed != 0 {
		w := play(t, *oneSeed, true)
		t.Log("the story:\n" + w.report())
		fail(t, *oneSeed, w)
		return
	}
	for i := range *seeds {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			fail(t, seed, play(t, seed, false))
		})
	}
}

func play(t *testing.T, seed uint64, telling bool) (w *world) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, dir, seed)
		w.telling = telling
		w.run(time.Now().Add(chaosFor), func() bool { return false })
		w.quiet()
		w.stop()
	})
	return w
}

func fail(t *testing.T, seed uint64, w *world) {
	t.Helper()
	if len(w.wrongs) > 0 {
		t.Errorf("%s\nplay it again: go test ./internal/simulation -run TestSimulation -seed=%d -v", strings.Join(w.wrongs, "\n"), seed)
	}
}
