package main

import (
	"context"
	"fmt"
	"time"
)

// Fault is one thing that went wrong.
type Fault struct {
	Draw
	N        int
	At       time.Time
	Boundary Boundary
	Side     Side
	Replica  int
	ID       string
	// Until is when it was over, for a process or a server that was away; zero as
	// long as it is not.
	Until time.Time
	// Held is for how long the step stood still at which it happened.
	Held time.Duration
}

// String says what happened where.
func (f *Fault) String() string {
	return fmt.Sprintf("fault %d: %s, %s the %s", f.N, f.Kind, f.Side, f.Boundary)
}

// fate is what becomes of the connection at which a fault happened.
type fate struct {
	cut, truncate bool
	half          bool // of what is truncated on its way there; else nothing of its body arrives
	status        int
}

// meet lets happen what the plan has for one side of a step.
func (s Step) meet(r *rig, side Side) fate { return r.strike(r.choose(s, side)) }

// choose returns the fault that a step meets, nil if none, and takes it down.
func (r *rig) choose(s Step, side Side) *Fault {
	if s.Boundary == "" {
		return nil
	}
	r.crossed(s.Boundary, side)
	draw, ok := r.plan.Next(s.Boundary, side)
	if !ok {
		return nil
	}
	draw.Kind = r.insteadOf(draw.Kind)
	if !r.begin(draw.Kind, s) {
		r.plan.Again(s.Boundary, side)
		return nil
	}
	r.mu.Lock()
	f := &Fault{Draw: draw, N: len(r.faults) + 1, At: time.Now(), Boundary: s.Boundary, Side: side, Replica: s.Replica, ID: s.ID}
	r.faults = append(r.faults, f)
	r.mu.Unlock()
	r.seen.note(s.Attempt, func(a *attempt) { a.Faults = append(a.Faults, f) })
	r.story.tell(s.Replica, s.ID, "*** %s", f)
	return f
}

// begin reports whether a kind of fault is possible at the moment, and reserves
// what it concerns.
func (r *rig) begin(k Kind, s Step) bool {
	rep := r.replicas[s.Replica-1]
	if !rep.takes(k) || !r.bearable(k) {
		return false
	}
	switch k {
	case Seal, VaultDie, Revoke, Key:
		return r.vault.reserve()
	case SetBack:
		r.wantsSetBack.Store(true) // until the copy is made; nothing more is destroyed elsewhere
		return r.redis.intact(sinceLoss) && r.vault.reserve()
	case Flush, RedisDie, Failover, Evict:
		return r.redis.reserve()
	case Disk:
		return rep.spool.reserve()
	case Person, Reapply:
		return r.person.owns(s.ID)
	case Delete:
		return r.person.begin(s.ID)
	default:
		return true
	}
}

// sinceLoss is how long Redis must have kept what it was told before Vault may be set back. Then
// it keeps it until no grant is left that has forgotten a presentation: a Vault that forgot
// an intent and a Redis that forgot the spent list leave no trace of it but in the spool of one
// replica, which may be away. The protocol does not promise to bear that, so the rig does
// not ask for it.
const sinceLoss = 5 * time.Second

// bearable keeps from a fleet whose Vault was just set back, or is about to be, what
// would take the spent list from it too.
func (r *rig) bearable(k Kind) bool {
	switch k {
	case SetBack:
		return !r.settingBack()
	case Flush, RedisDie, Failover, Evict:
		return !r.settingBack() && !r.wantsSetBack.Load()
	default:
		return true
	}
}

// leaves reports whether nothing may go wrong at a boundary, for the same reason.
func (r *rig) leaves(b Boundary) bool { return b == Spent && r.settingBack() }

// insteadOf puts Vault back in another fault's stead once Redis was left alone for long
// enough: a plan that takes something from Redis every few seconds would never come to it.
func (r *rig) insteadOf(k Kind) Kind {
	if r.wantsSetBack.Load() && r.redis.intact(sinceLoss) {
		return SetBack
	}
	return k
}

// inSpool is how an answer is seen of which a process does not die.
const inSpool = "in the spool"

// spooled takes down that an answer is in a spool.
func (r *rig) spooled(rep *replica, found spooledAnswer, how string) {
	a := r.seen.attempt(found.Attempt)
	if a == nil {
		return
	}
	known := false
	r.seen.note(a, func(a *attempt) {
		if known = !a.Spooled.IsZero(); !known {
			a.Spooled = time.Now()
		}
	})
	if known && how == inSpool {
		return
	}
	r.story.tell(rep.n, a.ID, "the answer to %s is %s", short(found.Attempt), how)
}

// spoolFirst looks into the spool of a process that is just about to copy an answer
// to Redis: it must be there by now.
func (r *rig) spoolFirst(rep *replica, a *attempt) {
	if found, whole := rep.spool.answerOf(a.Name); whole {
		r.spooled(rep, found, inSpool)
	} else if rep.there() { // not killed meanwhile, and its spool destroyed
		// A copy that is made again may find that the answer was committed meanwhile.
		r.seen.note(a, func(a *attempt) { a.Unspooled = a.Unspooled || a.Spooled.IsZero() })
	}
}

// over takes down that a fault is mended.
func (r *rig) over(f *Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.Until = time.Now()
}

// note tells what was done to a server; that it could not be done is the rig's own defect.
func (r *rig) note(what string, err error) {
	if err != nil && r.ctx.Err() == nil {
		r.broken(fmt.Errorf("%s: %w", what, err))
		return
	}
	r.story.tell(0, "", "%s", what)
}

// later does something after a while, even if the rig's faults are over by then.
func (r *rig) later(after time.Duration, do func()) {
	r.mending.do(func() {
		r.wait(after)
		do()
	})
}

func (r *rig) wait(d time.Duration) { waitFor(r.ctx, d) }

// waitFor waits for a time, or until the context ends.
func waitFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
