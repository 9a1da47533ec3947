package escrow_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
)

// newKey returns a key made at the given day.
func newKey(t *testing.T, id string, day int) escrow.Key {
	t.Helper()
	key, err := escrow.NewKey(id, time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC))
	must(t, err)
	return key
}

// sealedWith returns the ID of the key that the answer to ref was sealed to.
func (r *rig) sealedWith(t *testing.T, ref escrow.Ref) string {
	t.Helper()
	_, after, _ := strings.Cut(string(read(t, r.answerFile(ref))), `"key":"`)
	id, _, _ := strings.Cut(after, `"`)
	return id
}

// TestFirstKeyIsMadeOnce lets several processes start at once on an empty Vault.
func TestFirstKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	const processes = 8
	vault, redis := &keys{together: &sync.WaitGroup{}}, newCopies()
	vault.together.Add(processes)
	var rigs []*rig
	for range processes {
		r := &rig{dir: t.TempDir(), keys: vault, copies: redis}
		r.open(t)
		rigs = append(rigs, r)
	}
	var all sync.WaitGroup
	for n, r := range rigs {
		all.Go(func() {
			slot, err := r.Room(t.Context(), ref(n), escrow.Lineage{})
			if err == nil {
				err = slot.Seal(t.Context(), []byte("answer"))
				slot.Release()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	equal(t, "keys", len(vault.stored), 1)
	for n := range rigs {
		reads(t, rigs[(n+1)%processes].Escrow, ref(n), "answer")
	}
}

func TestFirstKey(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		vault *keys
		says  string // "" if room is made all the same
	}{
		"is made":                     {&keys{}, ""},
		"is made, unheard":            {&keys{createErr: errDown}, ""},
		"cannot be made":              {&keys{createErr: errDown, refuse: true}, errDown.Error()},
		"was deleted":                 {&keys{createErr: fmt.Errorf("vault: %w", credential.ErrConflict), refuse: true}, "undelete"},
		"cannot be looked for":        {&keys{listErr: errDown}, errDown.Error()},
		"is no base64":                {&keys{stored: []escrow.Key{{ID: "1", Private: "s3cret!"}}}, `escrow key "1" in Vault is not base64`},
		"is none":                     {&keys{stored: []escrow.Key{{ID: "1", Private: "czNjcmV0"}}}, `escrow key "1" in Vault is not an X25519`},
		"is there, another is broken": {&keys{stored: []escrow.Key{newKey(t, "1", 1)}, listErr: errDown}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &rig{dir: t.TempDir(), keys: test.vault}
			r.open(t)
			slot, err := r.Room(t.Context(), ref(1), escrow.Lineage{})
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("got %v, want an error that says %q", err, test.says)
				}
				equal(t, "ready", r.Ready(t.Context()) == nil, false)
				equal(t, "files", len(r.files(t, "answers")), 0)
				return
			}
			must(t, err)
			defer slot.Release()
			must(t, slot.Seal(t.Context(), []byte("answer")))
			reads(t, r.Escrow, ref(1), "answer")
		})
	}
}

// TestNewestKeySeals: by date of making, whatever the order and the names.
func TestNewestKeySeals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys []escrow.Key
		want string
	}{
		"last":          {[]escrow.Key{newKey(t, "1", 1), newKey(t, "2", 2)}, "2"},
		"first":         {[]escrow.Key{newKey(t, "b", 9), newKey(t, "c", 1), newKey(t, "a", 2)}, "b"},
		"of equal ones": {[]escrow.Key{newKey(t, "b", 1), newKey(t, "a", 1)}, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &rig{dir: t.TempDir(), keys: &keys{stored: test.keys}}
			r.open(t)
			sealed(t, r.Escrow, ref(1), "answer")
			equal(t, "key", r.sealedWith(t, ref(1)), test.want)
		})
	}
}

// TestKeyRotation: a key that an operator adds is used within the hour, and older
// ones still open what was sealed to them.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{dir: filepath.Join(dir, "spool"), keys: &keys{}}
		r.open(t)
		sealed(t, r.Escrow, ref(1), "with the first")
		second, err := escrow.NewKey("second", time.Now().Add(time.Minute))
		must(t, err)
		r.keys.set(func(k *keys) { k.stored = append(k.stored, second) })
		sealed(t, r.Escrow, ref(2), "soon after")
		equal(t, "requests", r.keys.requests(), 2) // to look for the first key, and to read it back
		<-time.After(time.Hour)
		sealed(t, r.Escrow, ref(3), "an hour after")

		for n, want := range map[int][2]string{
			1: {"1", "with the first"}, 2: {"1", "soon after"}, 3: {"second", "an hour after"},
		} {
			equal(t, "key", r.sealedWith(t, ref(n)), want[0])
			reads(t, r.Escrow, ref(n), want[1])
		}
		must(t, r.Close())
	})
}

// TestVaultAway: a process that knew a key goes on sealing, and waits with opening.
func TestVaultAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{dir: filepath.Join(dir, "spool"), keys: &keys{}}
		r.open(t)
		must(t, r.Ready(t.Context()))
		var stored []escrow.Key
		r.keys.set(func(k *keys) { stored, k.stored, k.listErr = k.stored, nil, errDown })
		<-time.After(48 * time.Hour)
		sealed(t, r.Escrow, ref(1), "answer")
		_, err := r.Read(t.Context(), ref(1))
		if !errors.Is(err, errDown) || errors.Is(err, escrow.ErrUnreadable) || errors.Is(err, escrow.ErrCopiesUnread) {
			t.Errorf("got %v, want Vault's error", err)
		}
		r.keys.set(func(k *keys) { k.stored, k.listErr = stored, nil })
		reads(t, r.Escrow, ref(1), "answer")
		must(t, r.Close())
	})
}

// TestKeyGone: an answer whose key is missing waits for the key.
func TestKeyGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sealed(t, r.Escrow, ref(1), "answer")
	var stored []escrow.Key
	r.keys.set(func(k *keys) { stored, k.stored = k.stored, []escrow.Key{newKey(t, "2", 1)} })
	_, err := r.Read(t.Context(), ref(1))
	if err == nil || errors.Is(err, escrow.ErrUnreadable) || errors.Is(err, escrow.ErrCopiesUnread) {
		t.Fatalf("got %v, want an error that asks for patience", err)
	}
	for _, part := range []string{`escrow key "1"`, "acme/bookings", "restored"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
	r.reopen(t)
	equalAll(t, "waiting", r.Waiting(), []escrow.Ref{ref(1)})
	r.keys.set(func(k *keys) { k.stored = append(k.stored, stored...) })
	reads(t, r.Escrow, ref(1), "answer")
}

// TestBrokenKeyDoesNotStopTheOthers: Vault returns what it can beside its error.
func TestBrokenKeyDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sealed(t, r.Escrow, ref(1), "answer")
	r.keys.set(func(k *keys) { k.listErr = errDown })
	reads(t, r.Escrow, ref(1), "answer")
}
