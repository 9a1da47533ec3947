package escrow_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"refresher/internal/escrow"
)

// TestWhoIsToBlame: whoever cannot keep or find an answer can tell a person whether it is the
// spool, the keys, Redis, or the version, and nobody else is blamed.
func TestWhoIsToBlame(t *testing.T) {
	t.Parallel()
	kinds := []error{escrow.ErrSpool, escrow.ErrKeys, escrow.ErrRedis, escrow.ErrOtherVersion}
	room := func(t *testing.T, r *rig) error {
		t.Helper()
		slot, err := r.Room(t.Context(), ref(2), escrow.Lineage{})
		if err == nil {
			slot.Release()
		}
		return err
	}
	finds := func(t *testing.T, r *rig) error {
		t.Helper()
		_, err := r.Read(t.Context(), ref(1))
		return err
	}
	after := func(t *testing.T, r *rig) error {
		t.Helper()
		_, err := r.After(t.Context(), ref(1).ID, escrow.Lineage{})
		return err
	}
	noKey := func(_ *testing.T, r *rig) {
		r.keys.set(func(k *keys) { k.stored, k.refuse = nil, true })
	}
	inFolder := func(name string) func(*testing.T, *rig) {
		return func(t *testing.T, r *rig) {
			t.Helper()
			must(t, os.RemoveAll(filepath.Join(r.dir, name)))
			must(t, os.WriteFile(filepath.Join(r.dir, name), nil, 0o600))
		}
	}
	noRedis := func(t *testing.T, r *rig) {
		t.Helper()
		inFolder("answers")(t, r)
		r.copies.set(func(c *copies) { c.down = errDown })
	}
	for name, test := range map[string]struct {
		spoil func(*testing.T, *rig)
		do    func(*testing.T, *rig) error
		want  error
	}{
		"room without a folder":   {inFolder("answers"), room, escrow.ErrSpool},
		"room without a key":      {noKey, room, escrow.ErrKeys},
		"an answer without a key": {noKey, finds, escrow.ErrKeys},
		"answers without Redis":   {func(_ *testing.T, r *rig) { r.copies.set(func(c *copies) { c.down = errDown }) }, after, escrow.ErrRedis},
		"neither disk nor Redis":  {noRedis, finds, escrow.ErrRedis},
		"the spent list":          {func(t *testing.T, r *rig) { t.Helper(); must(t, r.Close()) }, func(t *testing.T, r *rig) error { t.Helper(); return r.Present(t.Context(), "hash", false) }, escrow.ErrSpool},
		"an answer from elsewhere": {func(t *testing.T, r *rig) {
			t.Helper()
			write(t, r.answerFile(ref(1)), bytes.Replace(read(t, r.answerFile(ref(1))), []byte(`"v":1`), []byte(`"v":9`), 1))
		}, finds, escrow.ErrOtherVersion},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// No key is known yet, as after a start.
			r := newRig(t)
			sealed(t, r.Escrow, ref(1), "answer")
			r.reopen(t)
			test.spoil(t, r)
			err := test.do(t, r)
			for _, kind := range kinds {
				equal(t, kind.Error(), errors.Is(err, kind), kind == test.want)
			}
		})
	}
}
