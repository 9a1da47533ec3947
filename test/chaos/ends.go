package main

import (
	"slices"
	"strings"
	"syscall"
	"time"
)

// ending is how a process ended that was not killed.
type ending struct {
	At      time.Time
	Replica int
	// Asked is the fault that told it to stop; nil if it ended of its own accord.
	Asked *Fault
	Ran   bool   // it had got as far as to serve
	How   string // as the system has it
	Code  int    // -1 if a signal ended it
	Said  string // the last that it complained of
}

// The log's line when the service is up, and how the program's complaints begin.
const (
	upAndRunning = `"refresher is running"`
	complaint    = "refresher: "
)

// ended takes down how a process has ended that the rig did not kill.
func (r *rig) ended(rep *replica, p *process, asked *Fault) {
	first, last := p.said()
	e := ending{
		At: time.Now(), Replica: rep.n, Asked: asked, Ran: strings.Contains(first, upAndRunning),
		How: p.cmd.ProcessState.String(), Code: p.cmd.ProcessState.ExitCode(), Said: lastComplaint(last),
	}
	if asked != nil {
		r.story.tell(rep.n, "", "has stopped: %s", e.How)
	} else {
		r.story.tell(rep.n, "", "ended by itself: %s, %q", e.How, e.Said)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endings = append(r.endings, e)
}

// lastComplaint returns the last line of a log that is an error of the program's, without
// what it says to do.
func lastComplaint(log string) string {
	last := ""
	for line := range strings.Lines(log) {
		if said, ok := strings.CutPrefix(line, complaint); ok {
			last = strings.TrimSpace(said)
		}
	}
	return last
}

// stopLimit is how long a process may take to stop: its grace, and what a busy machine adds.
const stopLimit = shutdownGrace + 5*time.Second

// stop asks a process to stop, as a deployment does, and starts it again when it has. The step at
// which that happens goes on: what was sent is to be answered and sealed.
func (r *rig) stop(rep *replica, f *Fault) {
	p := rep.ask()
	if p == nil {
		return // another fault was faster
	}
	r.story.tell(rep.n, "", "asked to stop")
	r.mending.do(func() {
		select {
		case <-p.done:
		case <-time.After(stopLimit):
			p.kill()
		}
		r.inspect(rep, f)
		r.ended(rep, p, f)
		rep.mu.Lock()
		rep.process = nil
		rep.mu.Unlock()
		r.wait(f.span(100*time.Millisecond, 2*time.Second))
		r.over(f)
		r.start(rep)
	})
}

// judgeEndings: a process that was asked to stop has done so in time and without an error, and
// one that ended of its own accord had a reason to.
func (v *verdict) judgeEndings(endings []ending, c circumstances) {
	for _, e := range endings {
		why := c.endedBy(e)
		if e.Asked != nil {
			v.Stopped++
		}
		switch {
		case e.stopped():
		case why != "" && e.Asked == nil:
			v.Ended[why]++
		case why != "":
		case e.Asked != nil:
			v.NotStopped++
			v.fail("the service", "", "replica %d was asked to stop by %s, and ended within %s with %s: %q", e.Replica, e.Asked, e.At.Sub(e.Asked.At).Round(time.Millisecond), e.How, e.Said)
		default:
			v.fail("the service", "", "replica %d ended with %s, and no fault explains that: %q", e.Replica, e.How, e.Said)
		}
	}
}

// stopped reports whether a process has done as it was asked: one that served says that all
// is well, which it does with Vault sealed, too. One that was only starting was interrupted, perhaps before it
// could know what a signal means.
func (e ending) stopped() bool {
	switch {
	case e.Asked == nil:
		return false
	case e.Ran:
		return e.Code == 0
	default:
		return e.Code == 0 || e.Code == 1 && e.Said == "interrupted" || e.How == "signal: "+syscall.SIGTERM.String()
	}
}

// endedBy returns what made a process end that could not start; empty if no fault explains it.
func (c circumstances) endedBy(e ending) string {
	if e.Ran || e.Code != 1 {
		return ""
	}
	for _, cause := range []struct {
		sign, what string
		kinds      []Kind
	}{
		{"escrow key", "the escrow keys were deleted when it started", []Kind{Key, SetBack}},
		{syscall.ENOSPC.Error(), "its disk was full when it started", []Kind{Disk}},
		{syscall.EROFS.Error(), "its disk was read-only when it started", []Kind{Disk}},
		{"Vault", "Vault could not be used when it started", []Kind{Seal, VaultDie, SetBack, Revoke}},
	} {
		if strings.Contains(e.Said, cause.sign) && c.wentOn(e, cause.kinds) {
			return cause.what
		}
	}
	return ""
}

// wentOn reports whether one of the kinds of faults was not over, or had been only just, when a
// process ended. What concerns a disk or a token must have been its own.
func (c circumstances) wentOn(e ending, kinds []Kind) bool {
	return slices.ContainsFunc(c.faults, func(f *Fault) bool {
		over := f.Until
		switch {
		case !slices.Contains(kinds, f.Kind), f.Kind == Key && !f.deletesKeys():
			return false
		case (f.Kind == Disk || f.Kind == Revoke) && f.Replica != e.Replica:
			return false
		case f.Kind == Revoke: // at once
			over = f.At
		}
		return f.At.Before(e.At) && (over.IsZero() || over.Add(enoughToStart).After(e.At))
	})
}

// enoughToStart is how long a process that is starting may have to think over what it met.
const enoughToStart = 5 * time.Second
