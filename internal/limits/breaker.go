package limits

import (
	"sync"
	"time"
)

// State says whether a host is called.
type State int

// The states of a host's breaker.
const (
	// Closed: the host is called.
	Closed State = iota
	// Open: the host is not called.
	Open
	// HalfOpen: one call shows whether the host is back; no other is made.
	HalfOpen
)

// String returns "closed", "open" or "half_open".
func (s State) String() string {
	switch s {
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	default:
		return "closed"
	}
}

// BreakerSettings are when a breaker opens and for how long. The zero value is
// ready to use.
type BreakerSettings struct {
	// Failures in a row open the breaker; 5 if zero.
	Failures int
	// OpenFor is for how long it opens at first, twice as long after each probe
	// that fails; 30 seconds if zero.
	OpenFor time.Duration
	// OpenForMax is for how long it opens at most; 5 minutes if zero.
	OpenForMax time.Duration
	// Probe is how long a probe may go without a word before another is let
	// through; longer than any call takes, 3 minutes if zero.
	Probe time.Duration
}

func (s BreakerSettings) withDefaults() BreakerSettings {
	if s.Failures <= 0 {
		s.Failures = 5
	}
	if s.OpenFor <= 0 {
		s.OpenFor = 30 * time.Second
	}
	if s.OpenForMax <= 0 {
		s.OpenForMax = 5 * time.Minute
	}
	s.OpenForMax = max(s.OpenForMax, s.OpenFor)
	if s.Probe <= 0 {
		s.Probe = 3 * time.Minute
	}
	return s
}

// Breaker keeps hosts that do not answer from being called, each for itself. Its
// methods do not block and may be called at once from several goroutines.
//
// Each call that Allow let through is to be followed by Success, Failure or
// Cancel. What counts as a failure is the caller's to say: that the host cannot be
// reached, or does not work. A refusal is an answer, and so a Success.
type Breaker struct {
	settings BreakerSettings

	mu    sync.Mutex
	hosts map[string]circuit
}

// NewBreaker returns a breaker that is closed for every host.
func NewBreaker(settings BreakerSettings) *Breaker {
	return &Breaker{settings: settings.withDefaults(), hosts: map[string]circuit{}}
}

// Allow reports whether host may be called at now. If not, until is when to ask
// again; ReleaseAt makes of it a time that suits the one who asks.
func (b *Breaker) Allow(host string, now time.Time) (ok bool, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok, until := b.hosts[host].allow(b.settings, now)
	b.keep(host, c)
	return ok, until
}

// Success says that host answered: it is called again, whatever happened before.
func (b *Breaker) Success(host string, _ time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.hosts, host)
}

// Failure says that host did not answer a call, at now.
func (b *Breaker) Failure(host string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keep(host, b.hosts[host].failure(b.settings, now))
}

// Cancel says that a call that was allowed is not made, or showed nothing, so that
// if it was the probe, another can be. Calls are not told apart: one that was
// allowed before the host went down may so let a second probe through.
func (b *Breaker) Cancel(host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keep(host, b.hosts[host].cancel())
}

// States returns the state of every host of which anything is remembered. A host
// that is not among them is closed.
func (b *Breaker) States() map[string]State {
	b.mu.Lock()
	defer b.mu.Unlock()
	states := make(map[string]State, len(b.hosts))
	for host, c := range b.hosts {
		states[host] = c.state
	}
	return states
}

// keep remembers a host, unless there is nothing to remember.
func (b *Breaker) keep(host string, c circuit) {
	if c != (circuit{}) {
		b.hosts[host] = c
	}
}

// circuit is what is remembered of one host. Its methods decide and change
// nothing: they return what is to be remembered instead.
type circuit struct {
	state State
	// failures counts those in a row while closed, openings those since it was closed.
	failures, openings int
	// until is when the open period is over, or the probe's time is up.
	until time.Time
}

func (c circuit) allow(s BreakerSettings, now time.Time) (next circuit, ok bool, until time.Time) {
	if c.state == Closed {
		return c, true, time.Time{}
	}
	if !now.Before(c.until) {
		// The period is over, or nothing was heard of the probe: now this one is it.
		c.state, c.until = HalfOpen, now.Add(s.Probe)
		return c, true, time.Time{}
	}
	if c.state == HalfOpen {
		// The probe should be back long before its time is up.
		if again := now.Add(s.OpenFor / 10); again.Before(c.until) {
			return c, false, again
		}
	}
	return c, false, c.until
}

func (c circuit) failure(s BreakerSettings, now time.Time) circuit {
	switch c.state {
	case Open: // a call that began before it opened
		return c
	case Closed:
		if c.failures++; c.failures < s.Failures {
			return c
		}
	case HalfOpen:
	}
	period := s.OpenFor
	for i := 0; i < c.openings && period < s.OpenForMax; i++ {
		period *= 2
	}
	return circuit{state: Open, openings: c.openings + 1, until: now.Add(min(period, s.OpenForMax))}
}

func (c circuit) cancel() circuit {
	if c.state == HalfOpen {
		c.state, c.until = Open, time.Time{}
	}
	return c
}
