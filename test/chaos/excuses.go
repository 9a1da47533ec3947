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
	switch f.Kind {
	case Kill, Wipe, Away, SetBack:
		return true
	case Pause, Cut, Delay, Truncate, Refuse:
		return f.Boundary == Request || f.Boundary == Answer
	default:
		return false
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
// at its connection, or one of its process between the request and the seal. A
// pause is no excuse for an answer that had arrived: it waits in the socket.
func (c circumstances) keptFromSpool(a *attempt) string {
	for _, f := range a.Faults {
		if f.withholds(a) {
			return fmt.Sprintf("%s, %s the %s", f.Kind, f.Side, f.Boundary)
		}
	}
	for _, f := range c.faults {
		during := f.At.After(a.IntentAt) && f.At.Before(a.SentAt.Add(rotationTimeout+time.Second))
		killed := f.Replica == a.Replica && slices.Contains([]Kind{Kill, Wipe, Away}, f.Kind)
		if during && killed && !(slices.Contains(a.Faults, f) && f.Boundary.sealed()) {
			return string(f.Kind) + " of its process, at another's step"
		}
	}
	return ""
}

// withholds reports whether a fault at a presentation's own steps can keep its answer from
// the process, or from the spool.
func (f *Fault) withholds(a *attempt) bool {
	written := f.Boundary == Answer && f.Side == After // the answer, in whole
	switch {
	case f.Boundary != Request && f.Boundary != Answer:
		return false
	case f.Kind == SetBack: // the step waits until it is done
		return !written && f.Until.Sub(f.At) > rotationTimeout/2
	case f.Kind == Delay:
		return !written && f.span(shortestDelay, longestDelay) > rotationTimeout/2
	case f.Kind == Pause, f.Kind == Cut:
		return !a.Delivered
	default:
		return slices.Contains([]Kind{Kill, Wipe, Away, Truncate, Refuse}, f.Kind)
	}
}

// sealed reports whether a step comes after the answer is in the spool.
func (b Boundary) sealed() bool {
	return slices.Contains([]Boundary{Spool, Escrow, Commit, Publish, Cleanup}, b)
}
