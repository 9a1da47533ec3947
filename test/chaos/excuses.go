package main

import (
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
// held the spool back past a takeover while Redis had none; empty if nothing did.
func (c circumstances) destroyed(a *attempt) string {
	if a.Taken == nil {
		return ""
	}
	until, what := a.Taken.At.Add(nextVisit), "the spool was destroyed, and Redis had no copy"
	if a.Taken.Kind == Away {
		until, what = a.Taken.At.Add(takeoverAfter), "the spool was held back past a takeover, and Redis had no copy"
	}
	lost := slices.ContainsFunc(c.redisLosses, func(t time.Time) bool { return t.After(a.Taken.At) && t.Before(until) })
	if a.TakenCopy && !lost {
		return ""
	}
	return what
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
			return c.putBackAfter(at)
		}
		if a.Delivered && !a.Spooled.IsZero() {
			if a.Taken != nil && a.Taken.At.After(d.At) {
				return ""
			}
			return c.destroyed(a)
		}
		return c.keptFromSpool(a)
	}
	return ""
}

// putBackAfter returns the fault by which Vault has forgotten what it held at a time.
func (c circumstances) putBackAfter(at time.Time) string {
	for _, s := range c.setBacks {
		if s.copied.Before(at) && s.fault.Until.After(at) {
			return "Vault was put back to an older copy, from before the commit"
		}
	}
	return ""
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
