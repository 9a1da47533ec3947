package renewal_test

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
)

// copyOf is what Vault holds of acme.
type copyOf struct {
	grant    credential.Grant
	token    credential.Token
	versions map[string]int
}

func (s *stopped) copied() copyOf {
	grant, token := s.grant(acme), s.token(acme)
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return copyOf{grant, token, maps.Clone(s.store.ver)}
}

// putBack puts Vault back to a copy, with the numbers of its versions.
func (s *stopped) putBack(to copyOf) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.grants[acme], s.store.tokens[acme], s.store.ver = to.grant, to.token, map[string]int{}
	maps.Copy(s.store.ver, to.versions)
}

// anew renews acme now, and says as what.
func (s *stopped) anew() renewal.Outcome {
	pass(time.Hour)
	return s.Renew(s.t.Context(), forced(acme))
}

// moveTo has another replica go on.
func (s *stopped) moveTo(other *replica) {
	s.replica = other
	s.Engine = s.engine(other)
}

// TestVaultPutBack: Vault is put back to before rotations whose answers were committed, so
// that it holds a token that the provider takes no more. The last answer that was kept
// brings the grant forward. Its token is presented once, as a recorded probe.
func TestVaultPutBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		// earlier is when Vault was copied.
		earlier func(s *stopped) copyOf
		// lost is what is gone besides.
		lost  func(s *stopped)
		alive bool
	}{
		"to a rotation ago":   {alive: true},
		"to before the first": {alive: true, earlier: func(*stopped) copyOf { return copyOf{} }},
		"to a moment with an intent": {alive: true, earlier: func(s *stopped) copyOf {
			var open copyOf
			s.stopAt("after grant.write", 1, 0, func() { open = s.copied() })
			s.anew()
			return open
		}},
		"and another replica goes on": {alive: true, lost: func(s *stopped) { s.moveTo(s.world.replica(s.t.TempDir())) }},
		"and Redis has lost its copy": {alive: true, lost: func(s *stopped) { clear(s.copies.kept) }},
		"and Redis has lost everything": {alive: true, lost: func(s *stopped) {
			clear(s.copies.kept)
			clear(s.copies.marks)
		}},
		"when the grant had died": {alive: true, earlier: func(s *stopped) copyOf {
			dead := s.copied()
			dead.grant.State = credential.GrantDead
			return dead
		}},
		"and both copies are gone": {lost: func(s *stopped) {
			clear(s.copies.kept)
			s.moveTo(s.world.replica(s.t.TempDir()))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				want(t, "result", s.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
				back := s.copied()
				if tc.earlier != nil {
					back = tc.earlier(s)
				}
				for range 3 {
					want(t, "result", s.anew().Result, renewal.ResultRenewed)
				}
				newest, calls := s.copied(), s.sims.Checkfront.Ledger().Calls()
				s.putBack(back)
				if tc.lost != nil {
					tc.lost(s)
				}
				for range 100 {
					pass(30 * time.Second)
					s.Drain(t.Context())
					if out := s.Renew(t.Context(), forced(acme)); out.Result == renewal.ResultRecovered {
						want(t, "serves", s.token(acme).AccessToken, newest.token.AccessToken)
						want(t, "status", s.token(acme).Status, credential.StatusActive)
						want(t, "goes on", s.grant(acme).Generation >= newest.grant.Generation, true)
						want(t, "calls", s.sims.Checkfront.Ledger().Calls()-calls, 0)
					} else if out.Result == renewal.ResultRenewed {
						break
					}
				}
				want(t, "alive", s.grant(acme).State != credential.GrantDead, tc.alive)
				want(t, "brought forward", s.events.count(renewal.EventBroughtForward) == 1, tc.alive)
				want(t, "calls", s.sims.Checkfront.Ledger().Calls()-calls, map[bool]int{true: 1}[tc.alive])
				noReuse(t, s.world)
			})
		})
	}
}

// TestVaultPutBackInTheMiddle: Vault is put back while the next rotation is under way. The token
// that is brought forward is not presented beside it, and its answer is what counts.
func TestVaultPutBackInTheMiddle(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.Renew(t.Context(), entry(acme))
		back := s.copied()
		s.anew()
		other := s.engine(s.world.replica(t.TempDir()))
		s.stopAt("answer", 1, time.Second, func() {
			s.putBack(back)
			want(t, "the other", other.Renew(t.Context(), forced(acme)).Result, renewal.ResultRecovered)
			want(t, "and again", other.Renew(t.Context(), forced(acme)).Result, renewal.ResultWaiting)
		})
		want(t, "result", s.anew().Result, renewal.ResultRenewed)
		want(t, "state", s.grant(acme).State, credential.GrantIdle)
		want(t, "calls", s.sims.Checkfront.Ledger().Calls(), 3)
		want(t, "the other", other.Renew(t.Context(), entry(acme)).Result, renewal.ResultUnchanged)
		noReuse(t, s.world)
	})
}

// TestVaultPutBackBeforeACommit: Vault is put back while an answer waits to be committed, to
// before the token that it answers. It is no new authorization that has overtaken it.
func TestVaultPutBackBeforeACommit(t *testing.T) {
	t.Parallel()
	for name, lives := range map[string]bool{"its process lives": true, "its process died": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				dir := t.TempDir()
				s.moveTo(s.world.replica(dir))
				s.Renew(t.Context(), entry(acme))
				back := s.copied()
				s.anew()
				if lives {
					s.stopAt("answer", 1, time.Second, func() { s.putBack(back) })
					want(t, "result", s.anew().Result, renewal.ResultRenewed)
				} else {
					s.store.on(dieAt("before grant.write", 2))
					died := make(chan struct{})
					go func() {
						defer close(died)
						s.anew()
					}()
					<-died
					s.store.on(func(string) error { return nil })
					want(t, "error", s.escrow.Close(), nil)
					s.putBack(back)
					s.moveTo(s.world.replica(dir))
					want(t, "drained", len(s.Drain(t.Context())), 1)
				}
				want(t, "generation", s.grant(acme).Generation, 3)
				want(t, "published", s.token(acme).AccessToken, s.grant(acme).AccessToken)
				want(t, "claimed", s.grant(acme).Intent.Claim, true)
				want(t, "brought forward", s.events.count(renewal.EventBroughtForward), 1)
				for range 25 {
					pass(30 * time.Second)
					s.Drain(t.Context())
					s.Renew(t.Context(), entry(acme))
				}
				want(t, "generation", s.grant(acme).Generation, 4)
				want(t, "state", s.grant(acme).State, credential.GrantIdle)
				want(t, "waiting", len(s.escrow.Waiting()), 0)
				want(t, "set aside", s.events.count(renewal.EventSetAside), 0)
				noReuse(t, s.world)
			})
		})
	}
}

// TestProbeThatVaultForgot: Vault is put back to before a probe that went out a moment ago. The
// next one waits for as long as if its intent were still there.
func TestProbeThatVaultForgot(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.probesApart = 10*time.Minute - 15*time.Second
		s.moveTo(s.world.replica(t.TempDir()))
		s.sims.Checkfront.Inject(providersim.Fault{Times: 2, Status: http.StatusBadGateway})
		s.Renew(t.Context(), entry(acme))
		back := s.copied()
		pass(10 * time.Minute)
		s.Renew(t.Context(), entry(acme))
		s.putBack(back)
		for _, calls := range []int{2, 2, 3} {
			s.Renew(t.Context(), entry(acme))
			want(t, "calls", s.sims.Checkfront.Ledger().Calls(), calls)
			pass(5 * time.Minute)
		}
		want(t, "state", s.grant(acme).State, credential.GrantIdle)
	})
}

// TestNothingLaterIsKept: a grant that the provider ends is dead, whatever is kept of it.
func TestNothingLaterIsKept(t *testing.T) {
	t.Parallel()
	for name, reauthorized := range map[string]bool{"but its own answer": false, "but one of the authorization before": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				s.Renew(t.Context(), entry(acme))
				s.anew()
				s.anew()
				if reauthorized {
					before := maps.Clone(s.copies.kept)
					seed, err := s.sims.Checkfront.Authorize(s.app.ClientID)
					want(t, "error", err, nil)
					s.putBack(copyOf{})
					s.seed(seed)
					want(t, "result", s.anew().Result, renewal.ResultRenewed)
					s.moveTo(s.world.replica(t.TempDir()))
					maps.Copy(s.copies.kept, before)
				}
				pass(5 * time.Hour)
				s.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadRequest, Error: "invalid_grant"})
				s.anew()
				want(t, "state", s.grant(acme).State, credential.GrantDead)
				want(t, "brought forward", s.events.count(renewal.EventBroughtForward), 0)
			})
		})
	}
}
