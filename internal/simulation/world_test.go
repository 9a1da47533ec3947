package simulation

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"refresher/internal/credential"
	"refresher/internal/providersim"
)

// world is everything: the processes, what is between them, and the people.
type world struct {
	t     *testing.T
	dir   string
	plan  *plan
	gate  *gate
	vault *vault
	redis *redis
	sims  *providersim.Providers
	log   zerolog.Logger
	book  *book
	// evidence is what was written where no secret may be.
	evidence *evidence
	lags     *lags

	seats    []*seat
	spools   []*spool
	subjects []*subject
	hosts    map[string]credential.ID

	began    time.Time
	timeline []*happening
	ledger   int // how much of the ledger was read
	chaos    atomic.Bool
	over     bool
	restored bool // Vault was put back to an older copy
	// restoredAt is when that was.
	restoredAt time.Time
	// putBack is how old that copy was.
	putBack time.Duration
	// redisForgot: something of the spent list in Redis may be missing.
	redisForgot bool

	mu      sync.Mutex
	story   []string
	wrongs  []string
	telling bool // every effect, not only what stands out
}

// happening is something that comes at its time.
type happening struct {
	at time.Time
	do func()
	// fixed: its time is not moved forward when the chaos ends.
	fixed bool
}

func newWorld(t *testing.T, dir string, seed uint64) *world {
	p := newPlan(seed)
	w := &world{
		t: t, dir: dir, plan: p, gate: newGate(p), vault: newVault(p.odds), redis: newRedis(p.odds),
		sims:  providersim.New(providersim.Options{CheckfrontAccess: accessLifetime, CheckfrontGrant: 14 * 24 * time.Hour}),
		hosts: map[string]credential.ID{}, began: time.Now(), evidence: newEvidence(),
	}
	w.log = zerolog.New(logOf{w.evidence}).Level(zerolog.TraceLevel)
	w.chaos.Store(true)
	w.redisForgot = p.odds.redisFail+p.odds.redisLost > 0
	w.book, w.lags = newBook(w), newLags(w)
	for i := range p.credentials {
		w.newSubject(i)
	}
	for i := range p.replicas {
		s := &seat{name: string(rune('A' + i))}
		s.spool = w.newSpool(s)
		w.seats = append(w.seats, s)
		w.in(time.Duration(i)*3*time.Second, func() { w.restart(s) })
	}
	w.planHappenings()
	return w
}

// in has something happen after d.
func (w *world) in(d time.Duration, do func()) *happening {
	h := &happening{at: time.Now().Add(d), do: do}
	w.timeline = append(w.timeline, h)
	w.sortTimeline()
	return h
}

func (w *world) sortTimeline() {
	slices.SortStableFunc(w.timeline, func(a, b *happening) int { return a.at.Compare(b.at) })
}

// run is the conductor. Whenever everybody waits, it lets one thing go on; if there
// is nothing, time passes. It returns when done says so, which is asked whenever time
// has passed.
func (w *world) run(until time.Time, done func() bool) {
	for {
		synctest.Wait()
		if w.reap() || w.happen() {
			continue
		}
		turn, then := w.gate.next(time.Now())
		if turn != nil {
			w.grant(turn)
			continue
		}
		if !time.Now().Before(until) || done() {
			return
		}
		if len(w.timeline) > 0 && (then.IsZero() || w.timeline[0].at.Before(then)) {
			then = w.timeline[0].at
		}
		if then.IsZero() || then.After(until) {
			then = until
		}
		w.idle(time.Until(then))
	}
}

// idle waits until somebody comes to the gate, or d has passed.
func (w *world) idle(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.gate.arrived:
	case <-timer.C:
	}
}

// happen lets the next happening happen whose time has come.
func (w *world) happen() bool {
	if len(w.timeline) == 0 || w.timeline[0].at.After(time.Now()) {
		return false
	}
	h := w.timeline[0]
	w.timeline = w.timeline[1:]
	h.do()
	return true
}

// grant lets a step go on, unless its process is struck there.
func (w *world) grant(s *step) {
	if s.errand != nil {
		s.errand()
		return
	}
	if !w.struck(s.who, s.key, s.n) {
		s.pass <- true
		return
	}
	if w.plan.roll("kill", s.key, s.n) < w.odds(s.key, w.plan.odds.kill) {
		w.tell(s, "killed")
		w.lags.disturb("", func() { w.crash(s.who) })
		s.pass <- false
		return
	}
	d := w.plan.stretch(tick, takeoverAfter/2, "paused", s.key, s.n)
	w.note("%s is paused for %v at %s", s.who.seat.name, d, s.key)
	until := time.Now().Add(d)
	w.lags.disturb("", func() {
		s.who.pausedAt = time.Now()
		s.who.pausedUntil.Store(&until)
	})
	s.n += 1 << 20 // it meets with this once
	w.gate.put(s)
}

// struck reports whether the process is killed or paused at this point.
func (w *world) struck(p *process, key string, n int) bool {
	if !w.chaos.Load() || p == nil || p.dead.Load() {
		return false
	}
	return w.plan.roll("kill", key, n) < w.odds(key, w.plan.odds.kill) || w.plan.roll("pause", key, n) < w.odds(key, w.plan.odds.pause)
}

// odds makes rare what happens at every tick.
func (w *world) odds(key string, odds float64) float64 {
	if strings.Contains(key, " visit ") || strings.Contains(key, " drain ") {
		return odds
	}
	return odds / 50
}

// tell notes an effect, if every one is to be told.
func (w *world) tell(s *step, what string) {
	if w.telling {
		w.note("%s (%d) %s", s.key, s.n, what)
	}
}

// note adds a line to the story.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story = append(w.story, fmt.Sprintf("%10.3f ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
}

// wrong notes that an invariant does not hold.
func (w *world) wrong(format string, args ...any) {
	w.note("WRONG "+format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrongs = append(w.wrongs, fmt.Sprintf(format, args...))
}
