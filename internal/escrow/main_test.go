package escrow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"refresher/internal/credential"
	"refresher/internal/escrow"
)

// TestMain is also the way into the other processes that some tests start.
func TestMain(m *testing.M) {
	if code, ok := play(os.Getenv(roleEnv), os.Getenv(dirEnv)); ok {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// keep is how long the spent list remembers in tests.
const keep = 24 * time.Hour

var errDown = errors.New("out of reach")

// keys is Vault as escrow sees it.
type keys struct {
	mu     sync.Mutex
	stored []escrow.Key
	asked  int
	// listErr and createErr come with whatever is there, and with a key that was
	// stored all the same unless refuse is set.
	listErr, createErr error
	refuse             bool
	// together, if set, holds the first answers back until as many have asked.
	together *sync.WaitGroup
}

func (k *keys) Keys(context.Context) ([]escrow.Key, error) {
	k.mu.Lock()
	k.asked++
	stored, err, together := slices.Clone(k.stored), k.listErr, k.together
	k.mu.Unlock()
	if together != nil && len(stored) == 0 {
		together.Done()
		together.Wait()
	}
	return stored, err
}

func (k *keys) CreateKey(_ context.Context, key escrow.Key) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.stored) > 0 {
		return credential.ErrConflict
	}
	if !k.refuse {
		k.stored = append(k.stored, key)
	}
	return k.createErr
}

// set changes what the store does from now on.
func (k *keys) set(change func(k *keys)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(k)
}

func (k *keys) requests() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

// copies is a second place in memory that can fail and be looked into. The spent
// list in it knows nothing.
type copies struct {
	mu    sync.Mutex
	data  map[string][]byte
	kept  map[credential.ID][]byte
	heard []escrow.Told
	down  error
	onPut func(sealed []byte)
}

func newCopies() *copies { return &copies{data: map[string][]byte{}, kept: map[credential.ID][]byte{}} }

func (c *copies) Put(_ context.Context, ref escrow.Ref, sealed []byte) error {
	c.mu.Lock()
	onPut := c.onPut
	c.mu.Unlock()
	if onPut != nil {
		onPut(sealed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down == nil && c.data[ref.Attempt] == nil {
		c.data[ref.Attempt] = bytes.Clone(sealed)
	}
	return c.down
}

func (c *copies) Get(_ context.Context, ref escrow.Ref) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down != nil {
		return nil, c.down
	}
	return bytes.Clone(c.data[ref.Attempt]), nil
}

func (c *copies) Delete(_ context.Context, ref escrow.Ref) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down == nil {
		delete(c.data, ref.Attempt)
	}
	return c.down
}

func (c *copies) Keep(_ context.Context, ref escrow.Ref, _ escrow.Lineage, sealed []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down == nil {
		c.kept[ref.ID] = bytes.Clone(sealed)
		delete(c.data, ref.Attempt)
	}
	return c.down
}

// All returns what is kept: nobody asks here while other answers wait.
func (c *copies) All(_ context.Context, id credential.ID) (all [][]byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept := c.kept[id]; kept != nil {
		all = append(all, bytes.Clone(kept))
	}
	return all, c.down
}

func (c *copies) Present(context.Context, string, bool, time.Duration) error { return c.down }
func (c *copies) Mark(context.Context, string, string) error                 { return c.down }
func (c *copies) Spent(context.Context, string) (bool, error)                { return false, c.down }

func (c *copies) Tell(_ context.Context, told escrow.Told) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down == nil {
		c.heard = append(c.heard, told)
	}
	return c.down
}

func (c *copies) set(change func(c *copies)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *copies) has(attempt string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data[attempt] != nil
}

// rig is one process's escrow with everything around it.
type rig struct {
	*escrow.Escrow
	dir    string
	keys   *keys
	copies *copies

	mu       sync.Mutex
	degraded []string
}

// open opens the spool of r again or for the first time, closed at the test's cleanup.
func (r *rig) open(t *testing.T) {
	t.Helper()
	settings := escrow.Settings{Dir: r.dir, Keep: keep, Keys: r.keys, Degraded: r.onDegraded}
	if r.copies != nil {
		settings.Copies = r.copies
	}
	var err error
	if r.Escrow, err = escrow.Open(settings); err != nil {
		t.Fatal(err)
	}
	e := r.Escrow
	t.Cleanup(func() { _ = e.Close() })
}

// reopen is a restart of the process.
func (r *rig) reopen(t *testing.T) {
	t.Helper()
	must(t, r.Close())
	r.open(t)
}

func (r *rig) onDegraded(what string, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.degraded = append(r.degraded, what)
}

// told returns what Degraded was told since the last call.
func (r *rig) told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := r.degraded
	r.degraded = nil
	return told
}

// newRig returns an escrow with both places.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), keys: &keys{}, copies: newCopies()}
	r.open(t)
	return r
}

// ref returns the nth attempt for acme/bookings.
func ref(n int) escrow.Ref {
	return escrow.Ref{
		ID: credential.ID{Tenant: "acme", Name: "bookings"}, Attempt: fmt.Sprintf("attempt%d", n),
		Presented: credential.Secret("presented").Hash(),
	}
}

// room makes room, whose release is left to the test.
func room(t *testing.T, e *escrow.Escrow, ref escrow.Ref) *escrow.Slot {
	t.Helper()
	slot, err := e.Room(t.Context(), ref, escrow.Lineage{Seed: "seed", Rotation: 1})
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

// sealed seals an answer and lets go of it.
func sealed(t *testing.T, e *escrow.Escrow, ref escrow.Ref, answer string) {
	t.Helper()
	slot := room(t, e, ref)
	defer slot.Release()
	must(t, slot.Seal(t.Context(), []byte(answer)))
}

// reads fails the test unless the answer to ref is this one; "" means that there is none.
func reads(t *testing.T, e *escrow.Escrow, ref escrow.Ref, answer string) {
	t.Helper()
	plain, err := e.Read(t.Context(), ref)
	must(t, err)
	equal(t, "answer", string(plain), answer)
	equal(t, "there", plain != nil, answer != "")
}

// answerFile is where the spool keeps an attempt's answer.
func (r *rig) answerFile(ref escrow.Ref) string { return filepath.Join(r.dir, "answers", ref.Attempt) }

// files returns the names in a folder of the spool, sorted.
func (r *rig) files(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.dir, folder))
	must(t, err)
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	must(t, os.WriteFile(path, data, 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func equalAll[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
