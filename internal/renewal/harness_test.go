package renewal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"refresher/internal/credential"
	"refresher/internal/egress"
	"refresher/internal/escrow"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
	"refresher/refreshers"
	"refresher/refreshers/bookeo"
	"refresher/refreshers/checkfront"
	"refresher/refreshers/kibo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is Vault as the protocol sees it: documents with versions, check-and-set,
// and writes that may fail before or after they happened.
type store struct {
	mu     sync.Mutex
	creds  map[credential.ID]credential.Credential
	grants map[credential.ID]credential.Grant
	tokens map[credential.ID]credential.Token
	ver    map[string]int
	// fault is asked before ("before grant.write") and after ("after grant.write") each operation.
	fault func(when string) error
	ops   map[string]int
}

func newStore() *store {
	return &store{
		creds: map[credential.ID]credential.Credential{}, grants: map[credential.ID]credential.Grant{},
		tokens: map[credential.ID]credential.Token{}, ver: map[string]int{}, ops: map[string]int{},
		fault: func(string) error { return nil },
	}
}

func (s *store) do(ctx context.Context, op string, work func() error) error {
	s.mu.Lock()
	fault := s.fault
	s.ops[op]++
	s.mu.Unlock()
	if err := fault("before " + op); err != nil {
		return err
	}
	s.mu.Lock()
	err := work()
	s.mu.Unlock()
	if err == nil {
		err = ctx.Err() // the answer is not waited for
	}
	if err != nil {
		return err
	}
	return fault("after " + op)
}

// on replaces the fault.
func (s *store) on(fault func(when string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *store) Credential(ctx context.Context, id credential.ID) (c credential.Credential, err error) {
	err = s.do(ctx, "credential.read", func() error {
		var ok bool
		if c, ok = s.creds[id]; !ok {
			return credential.ErrNotFound
		}
		return nil
	})
	return c, err
}

func (s *store) Grant(ctx context.Context, id credential.ID) (g credential.Grant, v int, err error) {
	err = s.do(ctx, "grant.read", func() error {
		g, v = s.grants[id].Clone(), s.ver["g"+id.String()]
		return nil
	})
	return g, v, err
}

func (s *store) cas(key string, cas int) error {
	if s.ver[key] != cas {
		return fmt.Errorf("%w: at %d, not %d", credential.ErrConflict, s.ver[key], cas)
	}
	s.ver[key]++
	return nil
}

func (s *store) PutGrant(ctx context.Context, id credential.ID, g credential.Grant, cas int) (v int, err error) {
	err = s.do(ctx, "grant.write", func() error {
		if err := s.cas("g"+id.String(), cas); err != nil {
			return err
		}
		s.grants[id], v = g.Clone(), s.ver["g"+id.String()]
		return nil
	})
	return v, err
}

func (s *store) Token(ctx context.Context, id credential.ID) (t credential.Token, v int, err error) {
	err = s.do(ctx, "token.read", func() error {
		t, v = s.tokens[id], s.ver["t"+id.String()]
		return nil
	})
	return t, v, err
}

func (s *store) PutToken(ctx context.Context, id credential.ID, t credential.Token, cas int) (v int, err error) {
	err = s.do(ctx, "token.write", func() error {
		if err := s.cas("t"+id.String(), cas); err != nil {
			return err
		}
		if t.Generation < s.tokens[id].Generation {
			return errors.New("the generation went back")
		}
		s.tokens[id], v = t, s.ver["t"+id.String()]
		return nil
	})
	return v, err
}

// keys is the key store of escrow.
type keys struct {
	mu   sync.Mutex
	keys []escrow.Key
	// deleted: Vault knows that there were some, and has them no more.
	deleted bool
}

func (k *keys) Keys(context.Context) ([]escrow.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.deleted {
		return nil, nil
	}
	return append([]escrow.Key(nil), k.keys...), nil
}

func (k *keys) CreateKey(_ context.Context, key escrow.Key) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.deleted || len(k.keys) > 0 {
		return credential.ErrConflict
	}
	k.keys = append(k.keys, key)
	return nil
}

// copies is the second place, shared by all replicas, that can be out of reach.
type copies struct {
	mu    sync.Mutex
	data  map[escrow.Ref][]byte
	kept  map[credential.ID][]byte
	last  map[credential.ID]escrow.Lineage
	marks map[string]string
	down  error
}

func newCopies() *copies {
	return &copies{data: map[escrow.Ref][]byte{}, kept: map[credential.ID][]byte{}, last: map[credential.ID]escrow.Lineage{}, marks: map[string]string{}}
}

func (c *copies) setDown(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = err
}

func (c *copies) Put(_ context.Context, ref escrow.Ref, sealed []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down == nil && c.data[ref] == nil {
		c.data[ref] = sealed
	}
	return c.down
}

func (c *copies) Get(_ context.Context, ref escrow.Ref) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data[ref], c.down
}

func (c *copies) Delete(_ context.Context, ref escrow.Ref) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.data, ref)
	return c.down
}

func (c *copies) Keep(_ context.Context, ref escrow.Ref, of escrow.Lineage, sealed []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down == nil && !c.last[ref.ID].After(of) {
		c.kept[ref.ID], c.last[ref.ID] = sealed, of
	}
	delete(c.data, ref)
	return c.down
}

func (c *copies) All(_ context.Context, id credential.ID) (all [][]byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ref, sealed := range c.data {
		if ref.ID == id {
			all = append(all, sealed)
		}
	}
	if kept := c.kept[id]; kept != nil {
		all = append(all, kept)
	}
	return all, c.down
}

func (c *copies) Present(_ context.Context, hash string, probe bool, _ time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down != nil {
		return c.down
	}
	switch mark := c.marks[hash]; {
	case mark == "" || mark == "unspent" || mark == "sent" && probe:
		c.marks[hash] = "sent"
		return nil
	case mark == "rotated":
		return escrow.ErrRotated
	default:
		return escrow.ErrSpentElsewhere
	}
}

func (c *copies) Spent(_ context.Context, hash string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mark := c.marks[hash]
	return c.down == nil && (mark == "sent" || mark == "rotated"), c.down
}

func (c *copies) Mark(_ context.Context, hash, mark string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down == nil {
		c.marks[hash] = mark
	}
	return c.down
}

func (c *copies) Tell(_ context.Context, told escrow.Told) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down != nil {
		return c.down
	}
	for _, kept := range told.Kept {
		if c.kept[kept.Ref.ID] == nil || kept.Of.After(c.last[kept.Ref.ID]) {
			c.kept[kept.Ref.ID], c.last[kept.Ref.ID] = kept.Sealed, kept.Of
		}
	}
	for _, m := range told.Marks {
		if mark := c.marks[m.Hash]; mark == "" || mark == "sent" && m.Mark == "rotated" {
			c.marks[m.Hash] = m.Mark
		}
	}
	return nil
}

// admitAll lets every call through and remembers the health that was reported.
type admitAll struct{}

func (admitAll) Admit(context.Context, renewal.Ask) renewal.Pass {
	return renewal.Pass{OK: true, Done: func(renewal.Health) {}}
}

// events counts what the protocol reports.
type events struct {
	mu sync.Mutex
	n  map[string]int
}

func (e *events) Event(event, _ string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n[event]++
}

func (e *events) count(event string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n[event]
}

// way is egress as the protocol wants it.
type way struct{ *egress.Client }

func (w way) Once(sendBy time.Time, timeout time.Duration, gate func(context.Context) error) refreshers.Doer {
	return w.Client.Once(egress.OnceOptions{SendBy: sendBy, Timeout: timeout, Gate: gate})
}

// limits are short enough for tests that wait for them on the wall clock.
func limits() renewal.Limits {
	return renewal.Limits{
		SendDeadline: 2 * time.Second, RotationTimeout: 2 * time.Second, InFlightBound: 50 * time.Millisecond,
		TakeoverAfter: 60 * time.Millisecond, TakeoverAfterDormant: time.Hour, CommitRetryMax: 20 * time.Millisecond,
		ConfirmRefusals: []time.Duration{time.Minute, 5 * time.Minute}, AskPersonEvery: time.Hour, StoreRetry: time.Millisecond,
	}
}

func timing() renewal.Timing {
	return renewal.Timing{
		FirstMin: .05, FirstMax: .65, Interval: .65, Jitter: .02,
		BackoffMin: time.Second, BackoffMax: time.Minute,
	}
}

// replica is one process: an engine and its spool.
type replica struct {
	*renewal.Engine
	escrow *escrow.Escrow
	events *events
}

// world is everything outside the replicas.
type world struct {
	t       *testing.T
	store   *store
	copies  *copies
	keys    *keys
	sims    *providersim.Providers
	servers *providersim.Servers
	egress  *egress.Client

	probesApart time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	sims := providersim.New(providersim.Options{})
	servers, err := sims.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	client, err := egress.New(egress.Settings{Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		servers.Close()
	})
	return &world{t: t, store: newStore(), copies: newCopies(), keys: &keys{}, sims: sims, servers: servers, egress: client}
}

// replica opens a spool and an engine on it. Close frees the spool for another.
func (w *world) replica(dir string) *replica {
	w.t.Helper()
	r, err := w.open(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = r.escrow.Close() })
	return r
}

func (w *world) open(dir string) (*replica, error) {
	esc, err := escrow.Open(escrow.Settings{Dir: dir, Keep: 24 * time.Hour, ProbesApart: w.probesApart, Keys: w.keys, Copies: w.copies})
	if err != nil {
		return nil, err
	}
	ev := &events{n: map[string]int{}}
	registry := refreshers.NewRegistry(
		checkfront.Methods(checkfront.DefaultSettings()), bookeo.Methods(bookeo.DefaultSettings()), kibo.Methods(kibo.DefaultSettings()),
	)
	engine := renewal.New(renewal.Parts{
		Methods: registry, Credentials: w.store, Grants: w.store, Tokens: w.store, Escrow: esc, Provider: way{w.egress},
		Admission: admitAll{}, Observer: ev, Log: zerolog.Nop(),
	}, timing(), limits())
	return &replica{Engine: engine, escrow: esc, events: ev}, nil
}

// put stores a credential as a person would.
func (w *world) put(id credential.ID, data map[string]any) {
	w.t.Helper()
	c, err := credential.Parse(id, data)
	if err != nil {
		w.t.Fatal(err)
	}
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.ver["c"+id.String()]++
	c.Version, c.StoredAt = w.store.ver["c"+id.String()], time.Now()
	w.store.creds[id] = c
}

var acme = credential.ID{Tenant: "acme", Name: "bookings"}

// checkfrontApp stores a Checkfront credential and returns the app behind it.
func (w *world) checkfrontApp(id credential.ID) providersim.App {
	w.t.Helper()
	app := w.sims.Checkfront.AddApp(providersim.AppSpec{})
	w.putSeed(id, app, app.RefreshToken)
	return app
}

func (w *world) putSeed(id credential.ID, app providersim.App, seed string) {
	w.put(id, map[string]any{
		"provider": "checkfront", "base_url": w.servers.URL("checkfront"),
		"client_id": app.ClientID, "client_secret": app.ClientSecret, "refresh_token": seed,
	})
}

func (w *world) grant(id credential.ID) credential.Grant {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.grants[id].Clone()
}

func (w *world) token(id credential.ID) credential.Token {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.tokens[id]
}

// serves fails the test unless the published token is taken by its provider.
func (w *world) serves(id credential.ID) {
	w.t.Helper()
	tok := w.token(id)
	reveal := func(m map[string]credential.Secret) map[string]string {
		out := map[string]string{}
		for k, v := range m {
			out[k] = v.Reveal()
		}
		return out
	}
	if err := w.servers.Check(w.t.Context(), tok.Provider, tok.Auth, tok.BaseURL, reveal(tok.Headers), reveal(tok.Query)); err != nil {
		w.t.Fatalf("the published token does not serve: %v", err)
	}
}

func entry(id credential.ID) credential.Entry { return credential.Entry{ID: id, Due: time.Now()} }

// forced is an entry that a person asked to renew now.
func forced(id credential.ID) credential.Entry {
	e := entry(id)
	e.Memo.Forced = true
	return e
}

// visitUntil visits again and again until done, as the scheduler would, and fails
// after a while.
func (w *world) visitUntil(r *replica, e credential.Entry, done func(renewal.Outcome) bool) renewal.Outcome {
	w.t.Helper()
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	for {
		out := r.Renew(w.t.Context(), e)
		if done(out) {
			return out
		}
		e.Memo = out.Memo
		select {
		case <-timeout.C:
			w.t.Fatalf("not reached; last outcome %+v, grant %s, intent %+v", out, w.grant(e.ID).State, w.grant(e.ID).Intent)
		case <-time.After(min(max(time.Until(out.Due), time.Millisecond), 50*time.Millisecond)):
		}
	}
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
