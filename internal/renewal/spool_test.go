package renewal_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"refresher/internal/renewal"
)

// breakSpool makes a spool unable to take another answer, for root too, by
// putting a file where its folder is.
func breakSpool(t *testing.T, dir string) (brk, mend func()) {
	t.Helper()
	answers, away := filepath.Join(dir, "answers"), filepath.Join(dir, "away")
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
			must(os.Rename(answers, away))
			must(os.WriteFile(answers, nil, 0o600))
		}, func() {
			must(os.Remove(answers))
			must(os.Rename(away, answers))
		}
}

// TestSpoolThatLetsGoOfNothing: an answer is in Vault, others have rotated the grant since, and the
// spool cannot be cleared of it, as on a disk that takes no writes any more. It is tried
// again, less and less often: an answer that nobody needs costs no requests at every tick.
func TestSpoolThatLetsGoOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	dir := t.TempDir()
	w.crash(dir, "before grant.write", 2)
	r := w.replica(dir)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	kept := filepath.Join(dir, "kept")
	must(os.Remove(kept))
	must(os.WriteFile(kept, nil, 0o600))
	patient := limits()
	patient.StoreRetry = time.Hour
	engine := renewal.New(r.Parts, timing(), patient)
	want(t, "committed by the drain", len(engine.Drain(t.Context())), 1)
	w.serves(acme)
	want(t, "the other's result", w.replica(t.TempDir()).Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)

	want(t, "touched by the second try", len(engine.Drain(t.Context())), 0)
	reads := w.store.ops["grant.read"]
	want(t, "touched at once after it", len(engine.Drain(t.Context())), 0)
	want(t, "readings at once after it", w.store.ops["grant.read"]-reads, 0)
	want(t, "waiting", len(r.escrow.Waiting()), 1)

	must(os.Remove(kept))
	must(os.Mkdir(kept, 0o700))
	r.Drain(t.Context()) // of an engine that has not tried yet
	want(t, "waiting when it can be cleared", len(r.escrow.Waiting()), 0)
	w.serves(acme)
	noReuse(t, w)
}
