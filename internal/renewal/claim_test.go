package renewal_test

import (
	"net/http"
	"testing"
	"time"

	"refresher/internal/providersim"
	"refresher/internal/renewal"
)

// claimed brings about an open intent whose owner is gone for good, and which s has claimed.
func (s *stopped) claimed() {
	s.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadGateway})
	s.Renew(s.t.Context(), entry(acme))
	pass(2 * time.Hour)
	s.replica = s.world.replica(s.t.TempDir())
	s.Engine = s.engine(s.replica)
	s.Renew(s.t.Context(), entry(acme))
	want(s.t, "takeovers", s.events.count(renewal.EventTakeover), 1)
}

// TestClaimIsWatched: a process that has claimed someone else's intent stands still, and sees
// nothing of what their owner does meanwhile. Its watch starts over. One that has been
// watching goes on.
func TestClaimIsWatched(t *testing.T) {
	t.Parallel()
	for name, watching := range map[string]bool{"it stood still": false, "it was watching": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				s.claimed()
				for range 11 * 6 {
					pass(10 * time.Second)
					if watching {
						s.Drain(t.Context())
					}
				}
				s.Drain(t.Context()) // reads the grant, and finds the claim in it
				out := s.Renew(t.Context(), entry(acme))
				want(t, "went on", out.Result == renewal.ResultRenewed, watching)
				for range 10 * 6 {
					pass(10 * time.Second)
					s.Drain(t.Context())
				}
				s.Renew(t.Context(), entry(acme))
				want(t, "takeovers", s.events.count(renewal.EventTakeover), 1)
				want(t, "probes", s.events.count(renewal.EventProbe), 1)
				want(t, "generation", s.grant(acme).Generation, 1)
			})
		})
	}
}

// TestClaimOutlivesItsMaker: a replica claims an open intent and is restarted again and again,
// each time before one in-flight bound is over. A claim presents nothing, so another replica
// that watches it for so long goes on in its place.
func TestClaimOutlivesItsMaker(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.claimed()
		other := s.world.replica(t.TempDir())
		healthy := s.engine(other)
		for minute := range 24 * 60 {
			if minute%7 == 0 {
				s.Engine = s.engine(s.replica)
			}
			s.Drain(t.Context())
			healthy.Drain(t.Context())
			s.Renew(t.Context(), entry(acme))
			if healthy.Renew(t.Context(), entry(acme)).Result == renewal.ResultRenewed {
				want(t, "minutes until it was taken over", minute, 10)
				break
			}
			pass(time.Minute)
		}
		want(t, "generation", s.grant(acme).Generation, 1)
		want(t, "probes", other.events.count(renewal.EventProbe), 1)
	})
}

// TestWatcherSpeaksUp: whoever has watched a claim for one in-flight bound says so, at each look
// until it is done, so that a replica which is restarted over and over cannot have all the visits.
func TestWatcherSpeaksUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.claimed()
		told := 0
		for minute := range 12 {
			pass(time.Minute)
			n := len(s.Drain(t.Context()))
			if told += n; n > 0 && minute < 9 {
				t.Errorf("told after %d minutes", minute+1)
			}
		}
		want(t, "told", told >= 2, true)
		want(t, "result", s.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
		pass(time.Minute)
		want(t, "told of what is done", len(s.Drain(t.Context())), 0)
	})
}

// TestHeldAttemptIsNotProbed: another replica has claimed an intent while a goroutine of its
// owner's still waits for the answer. The owner does not go on with that claim itself.
func TestHeldAttemptIsNotProbed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.stopAt("answer", 1, 2*time.Hour, func() {
			other := s.engine(s.world.replica(t.TempDir()))
			other.Renew(t.Context(), entry(acme))
			want(t, "claimed", s.grant(acme).Intent.Claim, true)
			for range 20 {
				pass(time.Minute)
				s.Drain(t.Context())
				want(t, "meanwhile", s.Renew(t.Context(), entry(acme)).Result, renewal.ResultWaiting)
			}
		})
		want(t, "result", s.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
		want(t, "calls", s.sims.Checkfront.Ledger().Calls(), 1)
	})
}
