package simulation

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"refresher/internal/credential"
)

// gate is where every effect of every process waits for its turn. Everybody
// runs until they stand here or wait for time to pass; then the conductor (run,
// in world_test.go) lets one go on. So effects happen one at a time, in an
// order that the seed decides.
type gate struct {
	plan *plan

	mu      sync.Mutex
	waiting []*step
	seen    map[string]int
	closed  bool
	arrived chan struct{} // holds one
}

// step is one that waits at the gate.
type step struct {
	key string
	n   int
	who *process // nil for an errand
	at  time.Time
	// pass is told true to go on, false if the process is dead.
	pass chan bool
	// errand is done by the conductor: it is under way, and nobody's death ends it.
	errand func()
}

func newGate(p *plan) *gate {
	return &gate{plan: p, seen: map[string]int{}, arrived: make(chan struct{}, 1)}
}

// number counts the occurrences of a key. A key belongs to one goroutine at a time.
func (g *gate) number(key string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen[key]++
	return g.seen[key]
}

// wait stands at the gate until it is s's turn, and reports whether its process lives.
func (g *gate) wait(s *step) bool {
	s.pass = make(chan bool, 1)
	if !g.put(s) {
		return false
	}
	return <-s.pass
}

func (g *gate) put(s *step) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.waiting = append(g.waiting, s)
	select {
	case g.arrived <- struct{}{}:
	default:
	}
	return true
}

// next takes out the step whose turn it is, nil if there is none yet. then is when
// the next one's time comes, zero if there is none.
func (g *gate) next(now time.Time) (turn *step, then time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	best, bestRoll := -1, 2.0
	for i, s := range g.waiting {
		at := s.at
		if s.who != nil && s.who.pauseEnd().After(at) {
			at = s.who.pauseEnd()
		}
		if at.After(now) {
			if then.IsZero() || at.Before(then) {
				then = at
			}
			continue
		}
		roll := g.plan.roll("turn", s.key, s.n)
		if roll < bestRoll || roll == bestRoll && s.key < g.waiting[best].key {
			best, bestRoll = i, roll
		}
	}
	if best < 0 {
		return nil, then
	}
	turn = g.waiting[best]
	g.waiting = append(g.waiting[:best], g.waiting[best+1:]...)
	return turn, then
}

// dismiss tells all who wait for p that it is dead.
func (g *gate) dismiss(p *process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	kept := g.waiting[:0]
	for _, s := range g.waiting {
		if s.who == p {
			s.pass <- false
			continue
		}
		kept = append(kept, s)
	}
	g.waiting = kept
}

// close ends the world: whoever still comes is dead.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, s := range g.waiting {
		if s.who != nil {
			s.pass <- false
		}
	}
	g.waiting = nil
}

type actorKey struct{}

// actor is a goroutine of the protocol, and what it has read.
type actor struct {
	name string

	mu   sync.Mutex
	read map[versionOf]reading
}

// versionOf is a version of a grant.
type versionOf struct {
	id      credential.ID
	version int
}

// reading is which write a version was from, and when it was asked for.
type reading struct {
	write int
	asked time.Time
}

// acting names the goroutine that works under ctx: a visit or the drain. The
// contexts of the scheduler itself have no name.
func acting(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, actorKey{}, &actor{name: name, read: map[versionOf]reading{}})
}

func actorOf(ctx context.Context) string {
	if a, ok := ctx.Value(actorKey{}).(*actor); ok {
		return a.name
	}
	return ""
}

// remember takes down what the goroutine under ctx has read, or written itself.
func remember(ctx context.Context, id credential.ID, version int, r reading) {
	if a, ok := ctx.Value(actorKey{}).(*actor); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.read[versionOf{id, version}] = r
	}
}

// remembered returns what the goroutine under ctx last knew of a version.
func remembered(ctx context.Context, id credential.ID, version int) reading {
	if a, ok := ctx.Value(actorKey{}).(*actor); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.read[versionOf{id, version}]
	}
	return reading{}
}

// errKilled is what the scheduler's own goroutines are told once their process is
// dead: they end by their cancelled context, and have no effect any more.
var errKilled = errors.New("the process was killed")

// killed ends a goroutine of the protocol on the spot, as a crash would.
func killed(ctx context.Context) error {
	if actorOf(ctx) != "" {
		runtime.Goexit()
	}
	return errKilled
}

// place is something outside of the processes: Vault or Redis.
type place struct {
	name    string
	timeout time.Duration
	down    bool
	// fail, lost and late are the odds of a request that has no effect, of one
	// whose answer is lost, and of a write that takes effect after its sender gave up.
	fail, lost, late float64
}

var (
	errAway = errors.New("connection refused")
	errLost = errors.New("connection reset: the answer is lost")
	errLate = errors.New("no answer within the time limit")
)

// effect carries out one request of the process. Before and after it the process
// may be paused or killed; the request may fail, take long, have its effect
// without an answer, or have it late.
func (p *process) effect(ctx context.Context, at *place, op, about string, work func() error) error {
	w := p.world
	if p.dead.Load() {
		return killed(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err // not even counted: how often a process asks while it stops is chance
	}
	key := p.seat.name + " " + actorOf(ctx) + " " + op + " " + about
	n := w.gate.number(key)
	s := &step{key: key, n: n, who: p, at: time.Now()}
	if w.chaos.Load() && w.plan.roll("slow", key, n) < w.plan.odds.slow {
		s.at = s.at.Add(w.plan.stretch(50*time.Millisecond, at.timeout, "slowness", key, n))
	}
	if !w.gate.wait(s) {
		return killed(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	luck := 2.0
	if w.chaos.Load() {
		luck = w.plan.roll("luck", key, n)
	}
	switch {
	case at.down, luck < at.fail:
		w.tell(s, "fails")
		p.setBack(op, about)
		return p.after(ctx, s, errAway)
	case luck < at.fail+at.late && isWrite(op):
		w.tell(s, "is late")
		p.setBack(op, about)
		w.gate.put(&step{
			key: key + " late", n: n, at: time.Now().Add(w.plan.stretch(at.timeout, 40*at.timeout, "lateness", key, n)),
			errand: func() { _ = work() },
		})
		p.sleep(at.timeout)
		return p.after(ctx, s, errLate)
	}
	err := work()
	if err == nil && (ctx.Err() != nil || luck < at.fail+at.late+at.lost) {
		w.tell(s, "is not heard of")
		p.setBack(op, about)
		err = errLost
	} else {
		w.tell(s, outcome(err))
	}
	return p.after(ctx, s, err)
}

// setBack takes down that a request failed, for what may have to wait for it. A failed claim
// does not count, there is another at the next tick; but what was claimed and not heard of
// stays out of sight for a while.
func (p *process) setBack(op, about string) {
	if about != "" || op == "queue.claim" && !p.world.redis.down {
		p.world.lags.disturb(about, func() {})
	}
}

func outcome(err error) string {
	if err != nil {
		return "is refused"
	}
	return ""
}

// isWrite reports whether an operation changes anything.
func isWrite(op string) bool { return op == "grant.write" || op == "token.write" || op == "copy.put" }

// after is the moment between an effect and the line that follows it.
func (p *process) after(ctx context.Context, s *step, err error) error {
	if !p.dead.Load() && !p.world.struck(p, s.key+" >", s.n) && time.Now().After(p.pauseEnd()) {
		return err
	}
	if p.dead.Load() || !p.world.gate.wait(&step{key: s.key + " >", n: s.n, who: p, at: time.Now()}) {
		return killed(ctx)
	}
	return err
}

func (p *process) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}
