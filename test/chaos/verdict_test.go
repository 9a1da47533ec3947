package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"refresher/internal/providersim"
)

// scene is a made-up course of events, for a verdict.
type scene struct {
	*observed
	circumstances
	rotations []providersim.Event
	now       time.Time
}

func newScene() *scene {
	return &scene{observed: newObserved(), now: time.Now(), circumstances: circumstances{
		authorizedIn:  func(string, time.Time, time.Time) bool { return false },
		removedIn:     func(string, time.Time, time.Time) bool { return false },
		presentations: map[string]int{},
	}}
}

// later lets time pass.
func (s *scene) later() time.Time {
	s.now = s.now.Add(8 * time.Second)
	return s.now
}

// present lets a token be presented under an intent, and reach the provider.
func (s *scene) present(name, token string, change ...func(*attempt)) *attempt {
	a := &attempt{ID: "acme/main", Name: name, Replica: 1, Presented: token, Forwarded: true, IntentAt: s.later(), Landed: s.now, SentAt: s.later()}
	for _, f := range change {
		f(a)
	}
	s.attempts[name] = a
	s.observed.presentations[token] = append(s.observed.presentations[token], a)
	s.owners[token] = a.ID
	if a.Forwarded {
		s.circumstances.presentations[token]++
	}
	if a.Issued != "" {
		s.rotations = append(s.rotations, providersim.Event{TokenHash: token, At: s.now})
	}
	return a
}

// fault lets something go wrong at replica 1.
func (s *scene) fault(k Kind, b Boundary) *Fault {
	f := &Fault{Draw: Draw{Kind: k}, N: len(s.faults) + 1, At: s.now.Add(100 * time.Millisecond), Boundary: b, Side: After, Replica: 1, ID: "acme/main"}
	s.faults = append(s.faults, f)
	return f
}

// heldBack lets the process of an answer be absent so often, for a short time each, and
// come back for a moment between. Redis loses its copy, and the grant is given up.
func (s *scene) heldBack(a *attempt, times int, k Kind) {
	for range times {
		s.now = s.now.Add(2 * time.Second)
		f := s.fault(k, Commit)
		f.Until = s.later().Add(-2 * time.Second)
	}
	s.redisLosses = []time.Time{s.now}
	s.now = s.now.Add(time.Second)
	s.deaths["acme/main "+a.Presented] = &death{At: s.now, ID: "acme/main", Token: a.Presented}
}

func (s *scene) die(token string) *death {
	d := &death{At: s.later(), ID: "acme/main", Token: token}
	s.deaths["acme/main "+token] = d
	return d
}

func (s *scene) publish(generation, version int, status string) {
	s.published["acme/main"] = append(s.published["acme/main"], publication{At: s.later(), Version: version, Generation: generation, Status: status, Access: fmt.Sprint("a", generation)})
}

func (s *scene) judge() *verdict {
	v := newVerdict()
	v.judgePresentations(s.observed, s.circumstances)
	v.judgeRotations(s.rotations, s.observed)
	v.judgeAnswers(s.observed, s.circumstances)
	v.judgeDeaths(s.observed, s.circumstances)
	v.judgePublications(s.observed)
	v.judgeLags(s.observed, s.circumstances, s.now)
	v.judgeDelays(s.observed, s.circumstances, s.rotations)
	return v
}

func rotated(to string) func(*attempt) {
	return func(a *attempt) { a.Issued, a.Delivered, a.Arrived = to, true, a.SentAt }
}

func undelivered(a *attempt) { a.Delivered = false }

func spooled(at time.Time) func(*attempt) { return func(a *attempt) { a.Spooled = at } }

// sealed is spooled and copied, now.
func (s *scene) sealed(a *attempt) { a.Spooled, a.Copied = s.now, s.now }

func probe(a *attempt) { a.Probe = true }

// TestVerdict: what must not be is found, each by its invariant, and what may be is
// not.
func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		scene func(*scene)
		want  string // the invariants that fail, in any order
		loss  string // a part of the cause of the one loss
	}{
		{name: "all is well", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"), spooled(s.now))
			s.inVault["t2"] = s.now
			s.publish(1, 1, "active")
		}},
		{name: "an unrecorded reuse", want: "I1", scene: func(s *scene) {
			s.present("a", "t1")
			s.present("b", "t1")
		}},
		{name: "a recorded probe", scene: func(s *scene) {
			s.present("a", "t1")
			s.present("b", "t1", probe)
		}},
		{name: "a retry after proof", scene: func(s *scene) {
			s.present("a", "t1", func(a *attempt) { a.Unspent, a.Forwarded = true, false })
			s.present("b", "t1")
		}},
		{name: "a retry after proof and a doubt", want: "I1", scene: func(s *scene) {
			s.present("a", "t1", func(a *attempt) { a.Unspent = true })
			s.present("b", "t1")
			s.present("c", "t1")
		}},
		{name: "no intent", want: "I1", scene: func(s *scene) { s.unintended = []string{"acme/main"} }},
		{name: "the intent never stood in Vault", want: "I1", scene: func(s *scene) {
			s.present("a", "t1", func(a *attempt) { a.Landed = time.Time{} })
		}},
		{name: "the intent came after the call", want: "I1", scene: func(s *scene) {
			s.present("a", "t1", func(a *attempt) { a.Landed = a.SentAt.Add(time.Second) })
		}},
		{name: "a probe at once", want: "I1", scene: func(s *scene) {
			first := s.present("a", "t1")
			s.present("b", "t1", probe, func(a *attempt) { a.IntentAt = first.IntentAt.Add(inFlightBound / 2) })
		}},
		{name: "no room for the answer", want: "I6", scene: func(s *scene) {
			s.present("a", "t1", func(a *attempt) { a.Roomless = true })
		}},
		{name: "the ledger knows of more", want: "I1", scene: func(s *scene) {
			s.present("a", "t1")
			s.circumstances.presentations["t1"]++
		}},
		{name: "the ledger knows of another", want: "I1", scene: func(s *scene) { s.circumstances.presentations["t9"] = 1 }},
		{name: "rotated twice", want: "I1", scene: func(s *scene) {
			s.present("a", "t1", func(a *attempt) { a.Issued = "t2" })
			s.present("b", "t1", func(a *attempt) { a.Issued = "t3" }, probe)
		}},
		{name: "a spooled answer did not come home", want: "I2", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"), spooled(s.now))
		}},
		{name: "a copy before the spool", want: "I2", scene: func(s *scene) {
			s.present("a", "t1", func(a *attempt) { a.Unspooled = true })
		}},
		{name: "an answer reached its process and no spool", want: "I2", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"))
		}},
		{name: "a spooled answer was overtaken", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"), spooled(s.now))
			s.authorizedIn = func(string, time.Time, time.Time) bool { return true }
		}},
		{name: "a spooled answer was overtaken by a seed that was stored before", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"), spooled(s.now))
			s.present("b", "seed", rotated("t9"), spooled(s.now))
			s.inVault["t9"] = s.now
		}},
		{name: "a person came when the grant had been given up", want: "I2 I3", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"), spooled(s.now))
			d := s.die("t1")
			came := s.later()
			s.authorizedIn = func(_ string, from, to time.Time) bool {
				return from.Before(came) && to.After(came) && d.At.Before(came)
			}
			s.fault(Kill, Lease)
		}},
		{name: "a spooled answer went with its spool, without a copy", loss: "destroyed", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"), spooled(s.now))
			a.Taken = []taking{{s.fault(Wipe, Commit), false}}
			s.die("t1")
		}},
		{name: "a spooled answer went with its spool and Redis", loss: "destroyed", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"), spooled(s.now))
			a.Taken = []taking{{s.fault(Wipe, Commit), true}}
			s.redisLosses = []time.Time{s.later()}
			s.die("t1")
		}},
		{name: "Redis still had the copy", want: "I2 I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"), spooled(s.now))
			s.redisLosses = []time.Time{s.now}
			a.Taken = []taking{{s.fault(Wipe, Commit), true}}
			s.die("t1")
		}},
		{name: "the spool was destroyed when the grant had been given up", want: "I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"), spooled(s.now))
			s.die("t1")
			s.later()
			a.Taken = []taking{{s.fault(Wipe, Commit), false}}
		}},
		{name: "another answer was in the spool that was destroyed", want: "I2 I3", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"), spooled(s.now))
			s.fault(Wipe, Commit)
			s.die("t1")
		}},
		{name: "the answer was cut off", loss: "cut, after the answer", scene: func(s *scene) {
			a := s.present("a", "t1", func(a *attempt) { a.Issued = "t2" })
			a.Faults = []*Fault{s.fault(Cut, Answer)}
			s.die("t1")
		}},
		{name: "the process died at another's step", loss: "had just arrived", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"))
			s.fault(Kill, Lease)
			s.die("t1")
		}},
		{name: "the process died on the way", loss: "before the answer arrived", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"), undelivered)
			s.now = s.now.Add(time.Second)
			s.fault(Kill, Lease)
			s.die("t1")
		}},
		{name: "the process died when it could have sealed", want: "I2 I3", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"))
			s.now = s.now.Add(time.Second)
			s.fault(Kill, Lease)
			s.die("t1")
		}},
		{name: "the process was frozen, and then died", loss: "kill of its process", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"))
			f := s.fault(Pause, Lease)
			f.Until = s.later()
			s.fault(Kill, Lease)
			s.die("t1")
		}},
		{name: "the process died at the answer, when it could have sealed", want: "I2 I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"))
			s.now = s.now.Add(time.Second)
			a.Faults = []*Fault{s.fault(Kill, Answer)}
			s.die("t1")
		}},
		{name: "cut off behind the whole answer", want: "I2 I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"))
			a.Faults = []*Fault{s.fault(Cut, Answer)}
			s.die("t1")
		}},
		{name: "the process was asked to stop", want: "I2 I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"))
			a.Faults = []*Fault{s.fault(Stop, Answer)}
			s.fault(Kill, Commit).Replica = 2
			s.die("t1")
		}},
		{name: "the process was asked to stop, and went without the answer", want: "I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"), undelivered)
			a.Faults = []*Fault{s.fault(Stop, Request)}
			s.die("t1")
		}},
		{name: "the step stood still until the process gave up", loss: "key, after the request", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"))
			f := s.fault(Key, Request)
			f.Held = 2 * time.Second
			a.Faults = []*Fault{f}
			s.fault(Kill, Commit).Replica = 2
			s.die("t1")
		}},
		{name: "the process died long after", want: "I2 I3", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"))
			s.now = s.now.Add(time.Minute)
			s.fault(Kill, Lease)
			s.die("t1")
		}},
		{name: "the process died at a step that comes after the spool", want: "I2 I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"))
			a.Faults = []*Fault{s.fault(Kill, Commit)}
			s.die("t1")
		}},
		{name: "more losses than faults", want: "I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"))
			s.fault(Kill, Lease)
			s.present("b", "t3", rotated("t4"), func(b *attempt) { b.IntentAt, b.Landed, b.SentAt = a.IntentAt, a.Landed, a.SentAt })
			s.die("t1")
			s.die("t3")
		}},
		{name: "a fault that keeps no answer back", want: "I2 I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"))
			a.Faults = []*Fault{s.fault(Flush, Request)}
			s.die("t1")
		}},
		{name: "paused with the answer in its socket", want: "I2 I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"))
			a.Faults = []*Fault{s.fault(Pause, Answer)}
			s.die("t1")
		}},
		{name: "lost for no reason", want: "I2 I3", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"))
			s.die("t1")
		}},
		{name: "Vault was put back", loss: "put back", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"), spooled(s.now))
			copied := s.later()
			s.inVault["t2"] = s.later()
			f := s.fault(SetBack, Commit)
			f.Until = s.later()
			s.setBacks = []setBack{{copied: copied, fault: f}}
			s.present("b", "t1", probe)
			s.die("t1")
		}},
		{name: "Vault was put back, and Redis has the answer", want: "I3", scene: func(s *scene) {
			s.present("a", "t1", rotated("t2"), spooled(s.now), func(a *attempt) { a.Copied = s.now })
			copied := s.later()
			s.inVault["t2"] = s.later()
			f := s.fault(SetBack, Commit)
			f.Until = s.later()
			s.setBacks = []setBack{{copied: copied, fault: f}}
			s.present("b", "t1", probe)
			s.die("t1")
		}},
		{name: "the spool was held back by short absences", loss: "short absences", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"), s.sealed)
			s.heldBack(a, 4, Kill)
		}},
		{name: "the provider ended a grant whose answer had been held back", loss: "short absences", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"), s.sealed)
			s.heldBack(a, 4, Kill)
			clear(s.deaths)
			s.present("b", "t1", probe, func(b *attempt) {
				b.IntentAt = s.now.Add(-16 * time.Second)
				b.Landed, b.SentAt = b.IntentAt, b.IntentAt
			})
			s.inVault["t2"] = s.later()
			s.present("c", "t2")
			s.die("t2")
		}},
		{name: "its process was up for long enough", want: "I2 I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"), s.sealed)
			s.later()
			s.heldBack(a, 4, Kill)
		}},
		{name: "the spool was held back by deployments", loss: "short absences", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"), s.sealed)
			s.heldBack(a, 4, Stop)
			s.fault(Kill, Commit).Replica = 2
		}},
		{name: "held back, and Redis has its copy", want: "I2 I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"), s.sealed)
			s.heldBack(a, 4, Kill)
			s.redisLosses = nil
		}},
		{name: "taken over too soon", want: "I2 I3", scene: func(s *scene) {
			a := s.present("a", "t1", rotated("t2"), s.sealed)
			s.heldBack(a, 1, Kill)
		}},
		{name: "Vault was put back before", want: "I3", scene: func(s *scene) {
			f := s.fault(SetBack, Commit)
			s.setBacks = []setBack{{copied: s.later(), fault: f}}
			f.Until = s.later()
			s.present("a", "t1", rotated("t2"), spooled(s.now))
			s.inVault["t2"] = s.later()
			s.die("t1")
		}},
		{name: "given up alive", want: "I5", loss: "cut", scene: func(s *scene) {
			a := s.present("a", "t1", func(a *attempt) { a.Issued = "t2" })
			a.Faults = []*Fault{s.fault(Cut, Answer)}
			s.die("t1").Alive = true
		}},
		{name: "asked for nothing", want: "I5", scene: func(s *scene) { s.publish(1, 1, "needs_authorization") }},
		{name: "asked for once more when it was renewed", want: "I5", scene: func(s *scene) {
			a := s.present("a", "t1", func(a *attempt) { a.Issued = "t2" })
			a.Faults = []*Fault{s.fault(Cut, Answer)}
			s.die("t1")
			s.publish(1, 1, "needs_authorization")
			s.publish(2, 2, "active")
			s.publish(2, 3, "needs_authorization")
		}},
		{name: "a generation went back", want: "I4", scene: func(s *scene) {
			s.publish(3, 1, "active")
			s.publish(2, 2, "active")
		}},
		{name: "two commits without a publication", want: "I4", scene: func(s *scene) {
			s.show("acme/main", 1)
			for generation := 2; generation <= 3; generation++ {
				s.grant("acme/main", document{State: "idle", Generation: generation, RefreshToken: "x"}, true)
			}
		}},
		{name: "a publication between two commits", scene: func(s *scene) {
			for generation := 1; generation <= 3; generation++ {
				s.grant("acme/main", document{State: "idle", Generation: generation, RefreshToken: "x"}, true)
				s.show("acme/main", generation)
			}
		}},
		{name: "a commit that waited for too long", want: "I4", scene: func(s *scene) {
			s.lags = []lag{{"acme/main", s.now, publishedWithin + time.Second}}
		}},
		{name: "a commit that waited while Redis had lost the queue", scene: func(s *scene) {
			s.lags = []lag{{"acme/main", s.now, publishedWithin + time.Second}}
			s.redisLosses = []time.Time{s.now.Add(time.Second)}
		}},
		{name: "a commit that waited for too long even so", want: "I4", scene: func(s *scene) {
			s.lags = []lag{{"acme/main", s.now, publishedAtWorst + time.Second}}
			s.redisLosses = []time.Time{s.now.Add(time.Second)}
		}},
		{name: "a commit that was never published", want: "I4", scene: func(s *scene) {
			s.committed["acme/main"] = s.now
			s.now = s.now.Add(publishedWithin + time.Second)
		}},
		{name: "writes that were heard of in another order", scene: func(s *scene) {
			s.publish(3, 2, "active")
			s.publish(2, 1, "active")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			c.scene(s)
			v := s.judge()
			found := map[string]bool{}
			for _, f := range v.Failures {
				found[f.Invariant] = true
				if !strings.Contains(c.want, f.Invariant) {
					t.Errorf("%s: %s", f.Invariant, f.What)
				}
			}
			for want := range strings.FieldsSeq(c.want) {
				if !found[want] {
					t.Errorf("%s was not found", want)
				}
			}
			for cause := range v.Losses {
				if c.loss != "" && !strings.Contains(cause, c.loss) {
					t.Errorf("lost by %q, want %q", cause, c.loss)
				}
			}
			if c.loss != "" && len(v.Losses) != 1 {
				t.Errorf("losses: %v, want one", v.Losses)
			}
		})
	}
}

// TestTold: what comes of a proof that nothing was spent is told apart.
func TestTold(t *testing.T) {
	t.Parallel()
	unspent := func(a *attempt) { a.Unspent, a.Forwarded = true, false }
	s := newScene()
	s.present("a", "t1", unspent)
	s.present("b", "t1")
	s.present("c", "t2", unspent)
	s.present("d", "t2", unspent, probe)
	s.present("e", "t3", unspent)
	v := s.judge()
	if got := again(v.Told); !v.ok() || len(v.Told) != 4 || !strings.HasPrefix(got, "4: ") {
		t.Errorf("%s; %s", got, v.lines())
	}
}

// TestDied: a token that the provider would have taken is told from one that was
// rotated away, though the grant of both lives on.
func TestDied(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rotated, lives, want bool
	}{
		"its grant is dead":       {},
		"it is the living one":    {lives: true, want: true},
		"it has a successor":      {lives: true, rotated: true},
		"rotated, and then reuse": {rotated: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			if c.rotated {
				s.present("a", hash("token"), rotated("t2"))
			}
			s.grant("acme/main", document{State: "dead", RefreshToken: "token"}, true)
			s.died("acme/main", "token", c.lives)
			if got := s.deaths["acme/main "+hash("token")].Alive; got != c.want {
				t.Errorf("alive: %t, want %t", got, c.want)
			}
		})
	}
}
