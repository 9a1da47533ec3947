package scheduler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"refresher/internal/credential"
	"refresher/internal/queue"
	"refresher/internal/renewal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// worker is a renewal protocol that takes some time and remembers who was there.
type worker struct {
	mu      sync.Mutex
	takes   time.Duration
	visits  []credential.ID
	at      []time.Time
	running map[string]int // by tenant
	most    int            // tenants at once
	removed []credential.ID
	forgot  int
	drained []credential.ID // what the next drain returns
	outcome func(credential.Entry) renewal.Outcome

	grantEnds time.Time // what Recall finds
	recallErr error
}

func newWorker(takes time.Duration) *worker {
	return &worker{takes: takes, running: map[string]int{}, outcome: func(e credential.Entry) renewal.Outcome {
		return renewal.Outcome{Result: renewal.ResultRenewed, Due: time.Now().Add(time.Hour), Memo: e.Memo}
	}}
}

func (w *worker) Renew(_ context.Context, e credential.Entry) renewal.Outcome {
	w.mu.Lock()
	w.visits, w.at = append(w.visits, e.ID), append(w.at, time.Now())
	w.running[e.ID.Tenant]++
	if w.running[e.ID.Tenant] > 1 {
		panic("two at once for one tenant")
	}
	w.most = max(w.most, len(w.running))
	w.mu.Unlock()
	if w.takes > 0 {
		<-time.After(w.takes)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running[e.ID.Tenant]--; w.running[e.ID.Tenant] == 0 {
		delete(w.running, e.ID.Tenant)
	}
	return w.outcome(e)
}

func (w *worker) Removed(_ context.Context, e credential.Entry) renewal.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed = append(w.removed, e.ID)
	return renewal.Outcome{Result: renewal.ResultRemoved}
}

func (w *worker) Rotating(memo credential.Memo) bool { return memo.Provider == "rotating" }

func (w *worker) Recall(_ context.Context, _ credential.ID, memo credential.Memo) (credential.Memo, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	memo.GrantExpiresAt = w.grantEnds
	return memo, w.recallErr
}

func (w *worker) Drain(context.Context) []credential.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	drained := w.drained
	w.drained = nil
	return drained
}

func (w *worker) RedisForgot() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgot++
}

func (w *worker) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.visits)
}

// vault is Vault as a scan sees it.
type vault struct {
	mu     sync.Mutex
	creds  map[credential.ID]credential.Credential
	tokens map[credential.ID]credential.Token
	odd    map[string][]string // names that are none, by tenant
	fail   error
	bad    map[credential.ID]error // tokens that cannot be read
	reads  int
}

func newVault(n int) *vault {
	v := &vault{creds: map[credential.ID]credential.Credential{}, tokens: map[credential.ID]credential.Token{}, odd: map[string][]string{}}
	for i := range n {
		v.creds[id(i)] = credential.Credential{ID: id(i), Version: 1}
	}
	return v
}

func id(i int) credential.ID {
	return credential.ID{Tenant: fmt.Sprintf("tenant-%03d", i/2), Name: fmt.Sprintf("cred-%d", i%2)}
}

func (v *vault) set(fail error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fail = fail
}

func (v *vault) readsSoFar() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reads
}

func (v *vault) Tenants(context.Context) ([]string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := map[string]bool{}
	var names []string
	for c := range v.creds {
		if !seen[c.Tenant] {
			seen[c.Tenant] = true
			names = append(names, c.Tenant)
		}
	}
	for tenant := range v.odd {
		if !seen[tenant] {
			names = append(names, tenant)
		}
	}
	return names, v.fail
}

func (v *vault) Names(_ context.Context, tenant string) ([]string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	names := append([]string(nil), v.odd[tenant]...)
	for c := range v.creds {
		if c.Tenant == tenant {
			names = append(names, c.Name)
		}
	}
	return names, v.fail
}

func (v *vault) Credential(_ context.Context, id credential.ID) (credential.Credential, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads++
	c, ok := v.creds[id]
	if !ok {
		return c, credential.ErrNotFound
	}
	return c, v.fail
}

func (v *vault) Token(_ context.Context, id credential.ID) (credential.Token, int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads++
	if err := v.bad[id]; err != nil {
		return credential.Token{}, 1, err
	}
	return v.tokens[id], 1, v.fail
}

// freeLeases is a process's own leases.
type freeLeases struct {
	mu   sync.Mutex
	held map[string]bool
	err  error
}

func (l *freeLeases) Acquire(_ context.Context, key string) (credential.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	if l.held[key] {
		return nil, credential.ErrLeaseHeld
	}
	l.held[key] = true
	return &freeLease{l, key}, nil
}

type freeLease struct {
	leases *freeLeases
	key    string
}

func (l *freeLease) Held() bool { return true }
func (l *freeLease) Release(context.Context) {
	l.leases.mu.Lock()
	defer l.leases.mu.Unlock()
	delete(l.leases.held, l.key)
}

// silent observes nothing but scans.
type silent struct {
	mu    sync.Mutex
	scans []error
	last  Report
	ticks int
}

func (*silent) Renewed(credential.Entry, renewal.Outcome, time.Duration, time.Duration) {}
func (s *silent) Scanned(r Report, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scans, s.last = append(s.scans, err), r
}

func (s *silent) Tick(int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ticks++
}
func (*silent) LeaseHeld() {}
func (*silent) Retired()   {}

type bench struct {
	*Scheduler
	worker *worker
	vault  *vault
	queue  *queue.Memory
	leases *freeLeases
	seen   *silent
}

func newBench(t *testing.T, fleet int, takes time.Duration, change func(*Parts, *Settings)) *bench {
	t.Helper()
	b := &bench{
		worker: newWorker(takes), vault: newVault(fleet), queue: queue.NewMemory(),
		leases: &freeLeases{held: map[string]bool{}}, seen: &silent{},
	}
	parts := Parts{Queue: b.queue, Leases: b.leases, Renewer: b.worker, Store: b.vault, Observer: b.seen, Log: zerolog.Nop()}
	settings := Settings{
		Renew: "@every 1s", Scan: "@every 10m", Workers: 8, Visibility: 90 * time.Second, LeaseRetry: 5 * time.Second,
		OutageAfter: 30 * time.Second, Grace: 3 * time.Minute,
		Scans: ScanSettings{Budget: 1000, Rate: 1000, MaxMissing: .1, Retry: 5 * time.Second},
	}
	if change != nil {
		change(&parts, &settings)
	}
	s, err := New(parts, settings)
	if err != nil {
		t.Fatal(err)
	}
	b.Scheduler = s
	return b
}

// run runs the scheduler in the bubble for d, and stops it.
func (b *bench) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := b.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestEverybodyHasTheirTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 100, 200*time.Millisecond, nil)
		b.run(t, 30*time.Second)
		if n := b.worker.count(); n != 100 {
			t.Errorf("%d visits, want each of 100 once", n)
		}
		if b.worker.most > 8 || b.worker.most < 4 {
			t.Errorf("%d tenants at once, want up to 8", b.worker.most)
		}
	})
}

// TestATickDoesNotWait: one slow tenant holds up nobody else.
func TestATickDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2, 20*time.Second, nil) // both are tenant 0's: 40 s in a row
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		<-time.After(5 * time.Second)
		late := credential.ID{Tenant: "late", Name: "one"}
		if _, err := b.queue.Add(t.Context(), credential.Entry{ID: late, Due: time.Now()}); err != nil {
			t.Error(err)
		}
		<-time.After(1500 * time.Millisecond)
		if n := b.worker.count(); n != 2 {
			t.Errorf("%d visits after 6.5 s, want the slow tenant's first and the late one's", n)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestRefillsWithoutATick: what is due is worked off as fast as workers are free.
func TestRefillsWithoutATick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 400, 10*time.Millisecond, nil)
		b.run(t, 4*time.Second)
		// 200 tenants at 20 ms each on 8 workers take half a second; by ticks alone it would be 25.
		if n := b.worker.count(); n != 400 {
			t.Errorf("%d visits in 4 s, want 400", n)
		}
	})
}

func TestPanicDoesNotStopTheLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2, 0, nil)
		b.worker.outcome = func(e credential.Entry) renewal.Outcome {
			if b.worker.visits[len(b.worker.visits)-1].Name == "cred-0" && len(b.worker.visits) == 1 {
				panic("a provider's mistake")
			}
			return renewal.Outcome{Result: renewal.ResultRenewed, Due: time.Now().Add(time.Hour)}
		}
		b.run(t, 3*time.Minute)
		if n := b.worker.count(); n < 3 {
			t.Errorf("%d visits, want the one that panicked to come back", n)
		}
	})
}

func TestStopWaitsForWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1, 10*time.Second, nil)
		began := time.Now()
		b.run(t, 2*time.Second)
		if took := time.Since(began); took < 9*time.Second {
			t.Errorf("stopped after %s, in the middle of a visit", took)
		}
		entries, err := b.queue.Entries(t.Context())
		if err != nil || len(entries) != 1 || !entries[0].Due.After(time.Now()) {
			t.Errorf("the visit's result was not noted: %+v, %v", entries, err)
		}
	})
}

// TestSlowWorkDoesNotPileUp: the claim of what is still being worked on runs out
// again and again; it is worked on once.
func TestSlowWorkDoesNotPileUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2, 20*time.Minute, func(_ *Parts, s *Settings) { s.Visibility, s.Grace = time.Minute, time.Hour })
		b.run(t, 30*time.Minute)
		if n := b.worker.count(); n != 2 {
			t.Errorf("%d visits to 2 credentials that take 20 minutes each", n)
		}
	})
}

func TestStopGivesUpAfterTheGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1, 10*time.Minute, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := b.Run(ctx); err == nil {
			t.Error("the grace was over and nothing was said")
		}
		<-time.After(8 * time.Minute) // the visit itself goes on to its end
	})
}

func TestHeldLeaseIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2, 0, nil)
		other, err := b.leases.Acquire(t.Context(), "tenant:tenant-000")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-time.After(20 * time.Second)
			other.Release(context.Background())
		}()
		b.run(t, 40*time.Second)
		if n := b.worker.count(); n != 2 {
			t.Errorf("%d visits, want 2 after the lease was free", n)
		}
		if len(b.worker.at) > 0 && time.Since(b.worker.at[0]) > 30*time.Second {
			t.Error("visited while another held the lease")
		}
	})
}

// awayQueue is a Redis that can be out of reach.
type awayQueue struct {
	Queue
	mu   sync.Mutex
	away bool
}

func (q *awayQueue) set(away bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.away = away
}

func (q *awayQueue) Claim(ctx context.Context, now time.Time, limit int, visibility time.Duration) (queue.Claim, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away {
		return queue.Claim{}, errors.New("connection refused")
	}
	return q.Queue.Claim(ctx, now, limit, visibility)
}

// TestRedisOutageKillsNobody: with Redis gone for long, what is about to expire
// is renewed from memory, and when it returns the queue there goes on.
func TestRedisOutageKillsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var away *awayQueue
		b := newBench(t, 20, 0, func(p *Parts, _ *Settings) {
			away = &awayQueue{Queue: p.Queue}
			p.Queue = away
			p.Spare = func() (Queue, Leases) { return queue.NewMemory(), &freeLeases{held: map[string]bool{}} }
		})
		b.worker.outcome = func(e credential.Entry) renewal.Outcome {
			now := time.Now()
			b.vault.mu.Lock()
			defer b.vault.mu.Unlock()
			b.vault.tokens[e.ID] = credential.Token{
				Status: credential.StatusActive, Generation: b.vault.tokens[e.ID].Generation + 1,
				RenewAt: now.Add(6 * time.Minute), ExpiresAt: now.Add(10 * time.Minute),
			}
			return renewal.Outcome{Result: renewal.ResultRenewed, Due: now.Add(6 * time.Minute)}
		}
		go func() {
			<-time.After(time.Minute)
			away.set(true)
			<-time.After(10 * time.Minute)
			if entries, partial, err := b.Fleet(t.Context()); err != nil || !partial || len(entries) != 20 || !b.FromMemory() {
				t.Errorf("from memory: %d entries, partial %v, %v; want all 20, and that it is partial", len(entries), partial, err)
			}
			<-time.After(50 * time.Minute)
			away.set(false)
		}()
		dead := 0
		go func() {
			for range 70 * 60 {
				<-time.After(time.Second)
				b.vault.mu.Lock()
				for _, tok := range b.vault.tokens {
					if tok.Expired(time.Now()) {
						dead++
					}
				}
				b.vault.mu.Unlock()
			}
		}()
		b.run(t, 71*time.Minute)
		if dead > 0 {
			t.Errorf("tokens were seen expired %d times", dead)
		}
		if entries, partial, err := b.Fleet(t.Context()); err != nil || partial || len(entries) != 20 || b.FromMemory() {
			t.Errorf("redis is back: %d entries, partial %v, %v; want all 20, from the queue there", len(entries), partial, err)
		}
	})
}
