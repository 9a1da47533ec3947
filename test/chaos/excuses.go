package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// circumstances are what the rig did, for the verdict on what came of it.
type circumstances struct {
	faults        []*Fault
	setBacks      []setBack
	redisLosses   []time.Time
	authorizedIn  func(id string, from, to time.Time) bool
	removedIn     func(id string, from, to time.Time) bool
	presentations map[string]int // by hash, that reached the provider: its ledger's count
}

// destroyed returns what destroyed both copies of an answer that was spooled, or
// held the spool back past a takeover while Redis had none, before a time; empty if nothing did.
func (c circumstances) destroyed(a *attempt, before time.Time) string {
	for _, f := range a.Taken {
		until, what := f.At.Add(nextVisit), "the spool was destroyed, and Redis had no copy"
		if f.Kind == Away {
			until, what = f.At.Add(takeoverAfter), "the spool was held back past a takeover, and Redis had no copy"
		}
		if f.At.Before(before) && (!f.Copied || c.redisLost(f.At, until)) {
			return what
		}
	}
	return ""
}

// nextVisit is when a replica has surely looked for the copy of another's answer.
const nextVisit = 20 * time.Second

// canLose reports whether a fault can keep an answer from its spool, destroy one there, or
// make Vault forget one.
func (f *Fault) canLose() bool {
	onItsWay := f.Boundary == Request || f.Boundary == Answer
	switch f.Kind {
	case Kill, Wipe, Away, SetBack:
		return true
	case Pause, Delay:
		return onItsWay
	case Cut, Truncate, Refuse: // the provider has not heard of a request that ends before it
		return onItsWay && !(f.Boundary == Request && f.Side == Before)
	default:
		return onItsWay && f.Held > rotationTimeout/2
	}
}

// askedFor reports whether a grant had died when a person was asked to authorize, and no
// other had taken its place since. A Vault that is put back brings back what had died.
func (c circumstances) askedFor(o *observed, id string, before []publication, asked publication) bool {
	var renewed time.Time
	for i, p := range before {
		if p.Status == "active" && (i == 0 || p.Access != before[i-1].Access) {
			renewed = p.At
		}
	}
	return slices.ContainsFunc(deathsOf(o, id), func(d *death) bool {
		setBack := slices.ContainsFunc(c.setBacks, func(s setBack) bool { return s.fault.Until.After(d.At) && s.fault.Until.Before(asked.At) })
		return !d.At.After(asked.At) && (d.At.After(renewed) || setBack)
	})
}

// explain returns why a grant was lost; empty if nothing that the rig did explains it.
func explain(o *observed, d *death, c circumstances) string {
	for _, a := range o.presentations[d.Token] {
		if a.Issued == "" {
			continue // it did not rotate the token
		}
		if at, home := o.inVault[a.Issued]; home {
			return c.putBackAfter(at, a, d)
		}
		if a.Delivered && !a.Spooled.IsZero() {
			return cmp.Or(c.destroyed(a, d.At), c.heldBack(a, d.At))
		}
		return c.keptFromSpool(a)
	}
	return c.endedByReuse(o, d)
}

// endedByReuse explains a grant that the provider ended because a former token came again:
// whoever took its intent over presented that, while its answer was held back.
func (c circumstances) endedByReuse(o *observed, d *death) string {
	for _, a := range o.attempts {
		if a.Issued != d.Token || a.Spooled.IsZero() {
			continue
		}
		for _, again := range o.presentations[a.Presented] {
			if again.Probe && again.SentAt.After(a.Spooled) && again.SentAt.Before(d.At) {
				return cmp.Or(c.destroyed(a, again.SentAt), c.heldBack(a, again.SentAt), c.putBackAfter(o.inVault[a.Issued], a, d))
			}
		}
	}
	return ""
}

// putBackAfter returns the fault by which Vault has forgotten what it held at a time, if it
// could not be told again: the answer was no more in Redis, or a person had authorized anew.
func (c circumstances) putBackAfter(at time.Time, a *attempt, d *death) string {
	for _, s := range c.setBacks {
		switch {
		case !s.copied.Before(at) || !s.fault.Until.After(at):
		case c.authorizedIn(a.ID, s.copied, s.fault.Until):
			return "Vault was put back to an older copy, from before a new authorization"
		case a.Copied.IsZero(), c.redisLost(a.Spooled, d.At):
			return "Vault was put back to an older copy, from before the commit, and Redis had lost the answer"
		}
	}
	return ""
}

func (c circumstances) redisLost(from, to time.Time) bool {
	return slices.ContainsFunc(c.redisLosses, func(t time.Time) bool { return t.After(from) && t.Before(to) })
}

// enoughToCommit is for how long a process must be up to bring home what is in its spool,
// while Vault and the escrow keys come and go.
const enoughToCommit = inFlightBound + leaseTTL

// keepsAway reports whether a fault, which is over, has kept a process from its work.
func (f *Fault) keepsAway(replica int) bool {
	return slices.Contains([]Kind{Kill, Stop, Away, Pause}, f.Kind) && f.Replica == replica && !f.Until.IsZero()
}

// heldBack returns what kept an answer in its spool until a time past a takeover, when
// Redis had lost it: its process was killed or stopped, and never up for long enough.
func (c circumstances) heldBack(a *attempt, until time.Time) string {
	if until.Before(a.IntentAt.Add(takeoverAfter)) || !a.Copied.IsZero() && !c.redisLost(a.Spooled, until) {
		return ""
	}
	up, absences := a.Spooled, 0
	for _, f := range c.faults {
		if !f.keepsAway(a.Replica) || f.Until.Before(up) || f.At.After(until) {
			continue
		}
		if f.At.Sub(up) > enoughToCommit {
			return ""
		}
		up, absences = f.Until, absences+1
	}
	if absences == 0 || until.Sub(up) > enoughToCommit {
		return ""
	}
	return "the spool was held back past a takeover by short absences, and Redis had lost its copy"
}

// keptFromSpool returns the fault that kept an answer from reaching its spool: one
// at its connection, or a death of its process before it can have sealed it. A
// pause is no excuse for an answer that had arrived: it waits in the socket. Nor is a request to stop.
func (c circumstances) keptFromSpool(a *attempt) string {
	for _, f := range a.Faults {
		if c.withholds(f, a) {
			return fmt.Sprintf("%s, %s the %s", f.Kind, f.Side, f.Boundary)
		}
	}
	for _, f := range c.faults {
		if f.Replica == a.Replica && f.kills() && c.tooEarly(f, a) && !(slices.Contains(a.Faults, f) && f.Boundary.sealed()) {
			if a.Delivered {
				return string(f.Kind) + " of its process, at another's step, as the answer had just arrived"
			}
			return string(f.Kind) + " of its process, at another's step, before the answer arrived"
		}
	}
	return ""
}

// kills reports whether a fault ends a process at once.
func (f *Fault) kills() bool { return slices.Contains([]Kind{Kill, Wipe, Away}, f.Kind) }

// enoughToSeal is for how long a process must be up to seal an answer that has arrived.
const enoughToSeal = 300 * time.Millisecond

// tooEarly reports whether a process was killed under way with an answer, or so soon after it had
// arrived that it need not be sealed. The time for which the process was frozen does not count.
func (c circumstances) tooEarly(f *Fault, a *attempt) bool {
	if f.At.Before(a.IntentAt) {
		return false
	}
	if !a.Delivered {
		return f.At.Before(a.SentAt.Add(rotationTimeout + time.Second))
	}
	up := f.At.Sub(a.Arrived)
	for _, p := range c.faults {
		if p.Kind == Pause && p.Replica == a.Replica && p.At.Before(f.At) && p.Until.After(a.Arrived) {
			up -= earlier(p.Until, f.At).Sub(later(p.At, a.Arrived))
		}
	}
	return up < enoughToSeal
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// withholds reports whether a fault at a presentation's own steps can keep its answer from
// the process, or from the spool.
func (c circumstances) withholds(f *Fault, a *attempt) bool {
	switch {
	case f.Boundary != Request && f.Boundary != Answer:
		return false
	case f.kills():
		return c.tooEarly(f, a)
	case slices.Contains([]Kind{Pause, Cut, Truncate, Refuse}, f.Kind):
		return !a.Delivered
	default: // the step waits until it is done, and the process not for as long
		written := f.Boundary == Answer && f.Side == After // the answer, in whole
		return !written && f.Held > rotationTimeout/2
	}
}

// sealed reports whether a step comes after the answer is in the spool.
func (b Boundary) sealed() bool {
	return slices.Contains([]Boundary{Spool, Escrow, Commit, Publish, Cleanup}, b)
}
