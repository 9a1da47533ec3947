package renewal_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
)

// ahead is Vault as a process sees it whose clock is ahead by so much (behind, if that is less
// than nothing), in a bubble that has one clock: to it all times in there lie so much
// earlier, and those that it writes lie so much later for everybody else.
type ahead struct {
	*store
	by time.Duration
}

func moved(t time.Time, by time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(by)
}

func movedGrant(g credential.Grant, by time.Duration) credential.Grant {
	g = g.Clone()
	g.RefreshTokenIssuedAt, g.IssuedAt, g.ExpiresAt = moved(g.RefreshTokenIssuedAt, by), moved(g.IssuedAt, by), moved(g.ExpiresAt, by)
	if g.Intent != nil {
		g.Intent.BeganAt, g.Intent.NotBefore = moved(g.Intent.BeganAt, by), moved(g.Intent.NotBefore, by)
	}
	return g
}

func movedToken(t credential.Token, by time.Duration) credential.Token {
	t.IssuedAt, t.ExpiresAt, t.RenewAt = moved(t.IssuedAt, by), moved(t.ExpiresAt, by), moved(t.RenewAt, by)
	return t
}

func (a ahead) Credential(ctx context.Context, id credential.ID) (credential.Credential, error) {
	c, err := a.store.Credential(ctx, id)
	c.StoredAt = moved(c.StoredAt, -a.by)
	return c, err
}

func (a ahead) Grant(ctx context.Context, id credential.ID) (credential.Grant, int, error) {
	g, v, err := a.store.Grant(ctx, id)
	return movedGrant(g, -a.by), v, err
}

func (a ahead) PutGrant(ctx context.Context, id credential.ID, g credential.Grant, cas int) (int, error) {
	return a.store.PutGrant(ctx, id, movedGrant(g, a.by), cas)
}

func (a ahead) Token(ctx context.Context, id credential.ID) (credential.Token, int, error) {
	t, v, err := a.store.Token(ctx, id)
	return movedToken(t, -a.by), v, err
}

func (a ahead) PutToken(ctx context.Context, id credential.ID, t credential.Token, cas int) (int, error) {
	return a.store.PutToken(ctx, id, movedToken(t, a.by), cas)
}

// process is a process on the spool of r whose clock is ahead by so much.
func (s *stopped) process(r *replica, by time.Duration) *renewal.Engine {
	engine := s.engine(r)
	parts, at := engine.Parts, ahead{s.store, by}
	parts.Credentials, parts.Grants, parts.Tokens = at, at, at
	return renewal.New(parts, timing(), bubbleLimits())
}

// sending is for how long after the beginning of its intent an owner, or the provider on its
// behalf, may still be at work: the send deadline, the call, and the provider's tail.
func sending() time.Duration { l := bubbleLimits(); return l.SendDeadline + 2*l.RotationTimeout }

// until visits and drains every ten seconds, as a process does, until what is to happen has
// happened, and returns how long that took.
func (s *stopped) until(process *renewal.Engine, happened func() bool) time.Duration {
	s.t.Helper()
	for began := time.Now(); ; pass(10 * time.Second) {
		if happened() {
			return time.Since(began)
		}
		if time.Since(began) > 3*time.Hour {
			s.t.Fatalf("not in three hours; intent %+v", s.grant(acme).Intent)
		}
		process.Drain(s.t.Context())
		process.Renew(s.t.Context(), entry(acme))
	}
}

// apart are two clocks that are six minutes apart.
var apart = map[string][2]time.Duration{
	"the first is ahead":  {3 * time.Minute, -3 * time.Minute},
	"the second is ahead": {-3 * time.Minute, 3 * time.Minute},
}

// TestClocksApart: an owner's clock and that of another replica are six minutes apart. Promised is one
// minute (renewal.clock_skew_allowance), for which the in-flight bound has room beside twice
// the 4m15s for which an owner, or the provider on its behalf, may be at work. A takeover has
// much more: the clocks would have to be 55 minutes apart for one to meet an owner at work.
// It comes when the takeover time is over by the other's clock, which is six minutes early or
// late, and presents nothing before a whole in-flight bound after that, by the clock of the
// one who watches.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	for name, clocks := range apart {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				s.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadGateway})
				began := time.Now()
				s.process(s.replica, clocks[0]).Renew(t.Context(), entry(acme))
				other := s.world.replica(t.TempDir())
				second := s.process(other, clocks[1])
				s.until(second, func() bool { return other.events.count(renewal.EventTakeover) > 0 })
				claimed := time.Since(began)
				skew := clocks[1] - clocks[0] // as the second sees the first
				between(t, "takeover", claimed, bubbleLimits().TakeoverAfter-skew, bubbleLimits().TakeoverAfter-skew+20*time.Second)
				probed := s.until(second, func() bool { return s.sims.Checkfront.Ledger().Calls() > 1 })
				between(t, "probe after the claim", probed, bubbleLimits().InFlightBound, bubbleLimits().InFlightBound+time.Minute)
				want(t, "probes", other.events.count(renewal.EventProbe), 1)
				want(t, "state", s.grant(acme).State, credential.GrantIdle)
			})
		})
	}
}

// TestClocksApartWhileTheOwnerWaits: the answer takes as long as it may, and another replica
// comes by all the while. It does nothing.
func TestClocksApartWhileTheOwnerWaits(t *testing.T) {
	t.Parallel()
	for name, clocks := range apart {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				other := s.world.replica(t.TempDir())
				second := s.process(other, clocks[1])
				s.answered = func() {
					began := time.Now()
					s.until(second, func() bool { return time.Since(began) >= sending() })
				}
				out := s.process(s.replica, clocks[0]).Renew(t.Context(), entry(acme))
				want(t, "result", out.Result, renewal.ResultRenewed)
				want(t, "takeovers", other.events.count(renewal.EventTakeover), 0)
				want(t, "calls", s.sims.Checkfront.Ledger().Calls(), 1)
				noReuse(t, s.world)
			})
		})
	}
}

// TestClocksApartOfAClaim: whoever has claimed an intent is gone at once, and a replica goes on
// whose clock is six minutes from the claim's. It waits for one in-flight bound of its own.
func TestClocksApartOfAClaim(t *testing.T) {
	t.Parallel()
	for name, clocks := range apart {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				s.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadGateway})
				s.process(s.replica, 0).Renew(t.Context(), entry(acme))
				claimant, heir := s.world.replica(t.TempDir()), s.world.replica(t.TempDir())
				s.until(s.process(claimant, clocks[0]), func() bool { return claimant.events.count(renewal.EventTakeover) > 0 })
				probed := s.until(s.process(heir, clocks[1]), func() bool { return s.sims.Checkfront.Ledger().Calls() > 1 })
				between(t, "probe after the claim", probed, bubbleLimits().InFlightBound, bubbleLimits().InFlightBound+time.Minute)
			})
		})
	}
}

// TestClocksApartOfOneSpool: a process dies with its token at the provider, and its spool comes up on
// a machine whose clock is elsewhere. The intent is its own, so the in-flight bound is all
// that it waits for, and the clocks' difference is taken off that: with the
// promised minute between them, 9 minutes are left. Up to 5m45s no call of the first can
// be at work any more when the probe goes out; beyond, the spent list in Redis, which goes
// by the clock of Redis, is what holds the probe back.
func TestClocksApartOfOneSpool(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-6 * time.Minute, -time.Minute, time.Minute, 5*time.Minute + 30*time.Second} {
		t.Run(fmt.Sprint("ahead by ", skew), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				s.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadGateway})
				began := time.Now()
				s.process(s.replica, 0).Renew(t.Context(), entry(acme))
				s.until(s.process(s.replica, skew), func() bool { return s.sims.Checkfront.Ledger().Calls() > 1 })
				probed := time.Since(began)
				between(t, "probe", probed, bubbleLimits().InFlightBound-skew, bubbleLimits().InFlightBound-skew+20*time.Second)
				if probed <= sending() {
					t.Errorf("the probe went out after %s, while a call may be at work for %s", probed, sending())
				}
			})
		})
	}
}

// TestClocksApartAtARefusal: the provider refuses to refresh while the access token lives, which it
// counts from the end of a call that took as long as it may, and the replica that
// presents the token thinks that it has expired: its clock is ahead by all that is promised.
// That refusal is not the last word. Beyond the promise it may be.
func TestClocksApartAtARefusal(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		limits := bubbleLimits()
		s.answered = func() { pass(limits.RotationTimeout) }
		s.process(s.replica, 0).Renew(t.Context(), entry(acme))
		s.answered = func() {}
		lives := s.grant(acme).ExpiresAt.Add(limits.RotationTimeout)
		pass(time.Until(lives) - limits.ClockSkew + time.Second)
		s.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadRequest, Error: "invalid_grant"})
		other := s.world.replica(t.TempDir())
		second := s.process(other, limits.ClockSkew)
		want(t, "refused", credential.KindOf(second.Renew(t.Context(), forced(acme)).Err), credential.KindRejected)
		want(t, "state", s.grant(acme).State, credential.GrantIntent)
		s.until(second, func() bool { return s.grant(acme).Generation == 2 })
		want(t, "probes", other.events.count(renewal.EventProbe), 1)
		want(t, "alive when it was probed", time.Now().Before(lives), false)
	})
}

// between wants a time to be at least, and at most.
func between(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s: after %s, want it after %s to %s", what, got, least, most)
	}
}
