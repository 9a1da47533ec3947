package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"time"
)

// announcement is a line of a process's log that says that a grant is dead.
type announcement struct {
	At   time.Time // by the rig's clock, in whole seconds
	ID   string
	Lost bool // it speaks of an answer that was lost, and was counted as such
}

// What the log says when an answer was lost, and of a grant that is dead for whatever reason.
const (
	saysLost = "an answer was lost"
	saysDead = "needs_authorization"
)

// judgeLog: no process has panicked, not even in a goroutine that survived it. It returns what
// the log, of a clock that is ahead by so much, announces.
func (v *verdict) judgeLog(rep *replica, ahead time.Duration) []announcement {
	text, err := os.ReadFile(rep.log)
	if err != nil {
		v.fail("the rig", "", "%v", err)
	}
	text = append([]byte("\n"), text...)
	for _, sign := range []string{"\npanic: ", "\nfatal error: ", "a defect in Refresher"} {
		if n := bytes.Count(text, []byte(sign)); n > 0 {
			v.fail("the service", "", "%q stands %d times in %s", strings.TrimSpace(sign), n, rep.log)
		}
	}
	var all []announcement
	for line := range bytes.Lines(text) {
		if a, ok := parseAnnouncement(line); ok {
			a.At = a.At.Add(-ahead)
			all = append(all, a)
		}
	}
	return all
}

// parseAnnouncement reads a line of a log; false if it announces nothing.
func parseAnnouncement(line []byte) (announcement, bool) {
	if !bytes.Contains(line, []byte(saysLost)) && !bytes.Contains(line, []byte(saysDead)) {
		return announcement{}, false
	}
	var said struct {
		Level, Tenant, Credential, Status, Message string
		Time                                       time.Time
	}
	if json.Unmarshal(line, &said) != nil {
		return announcement{}, false
	}
	lost := said.Level == "error" && strings.HasPrefix(said.Message, saysLost)
	return announcement{At: said.Time, ID: said.Tenant + "/" + said.Credential, Lost: lost}, lost || said.Status == saysDead
}

// announcedWithin is when at the latest a loss is announced, and roundedDown how much later a
// line may have been written than it says.
const (
	announcedWithin = time.Minute
	roundedDown     = time.Second
)

// judgeAnnouncements is what I3 and I7 say of losses: a process that finds an answer lost says so
// before it writes that the grant is dead. Of every dead grant a line, or the published token, tells
// within a minute, unless a person has authorized by then.
func (v *verdict) judgeAnnouncements(o *observed, c circumstances, said []announcement) {
	for _, d := range o.deaths {
		found := o.foundLost(d)
		between := func(from, to time.Time, lost bool) bool {
			return slices.ContainsFunc(said, func(a announcement) bool {
				return a.ID == d.ID && (a.Lost || !lost) && a.At.After(from.Add(-roundedDown)) && a.At.Before(to)
			})
		}
		until := d.At.Add(announcedWithin)
		switch {
		case found != nil && !between(found.SentAt, d.At, true):
			v.fail("I3", d.ID, "an answer was lost, as attempt %s found, and no log counts that before the grant was given up", short(found.Name))
		case found != nil:
			v.Counted++
		case between(d.At, until, false), c.authorizedIn(d.ID, d.At, until), o.asked(d.ID, d.At, until):
		default:
			v.fail("I7", d.ID, "the grant was given up, and nothing tells of that within %s", announcedWithin)
		}
	}
}

// asked reports whether a token was published in a span of time that asks for an authorization.
func (o *observed) asked(id string, from, to time.Time) bool {
	return slices.ContainsFunc(o.published[id], func(p publication) bool {
		return p.Status == saysDead && p.At.After(from) && p.At.Before(to)
	})
}

// foundLost returns the probe that found the answer to an earlier presentation lost, and after which
// the grant was given up; nil if that had another cause.
func (o *observed) foundLost(d *death) *attempt {
	var lost bool
	var last *attempt
	for _, a := range o.presentations[d.Token] {
		if a.SentAt.After(d.At) {
			break
		}
		_, home := o.inVault[a.Issued]
		lost = lost || a.Issued != "" && !home
		last = a
	}
	if lost && last.Probe && last.Forwarded && last.Issued == "" {
		return last
	}
	return nil
}
