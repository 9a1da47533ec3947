package scheduler

import (
	"testing"
	"testing/synctest"
	"time"

	"refresher/internal/credential"
)

// TestDrainedIsVisited at once, by the process that has drained it.
func TestDrainedIsVisited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1, 0, nil)
		time.AfterFunc(5500*time.Millisecond, func() {
			b.worker.mu.Lock()
			defer b.worker.mu.Unlock()
			b.worker.drained = []credential.ID{b.worker.visits[0]}
		})
		began := time.Now()
		b.run(t, 30*time.Second)
		if n := b.worker.count(); n != 2 {
			t.Fatalf("%d visits, want one more after the drain", n)
		}
		if late := b.worker.at[1].Sub(began); late != 6*time.Second {
			t.Errorf("visited after %s, want it at the tick that drained", late)
		}
	})
}
