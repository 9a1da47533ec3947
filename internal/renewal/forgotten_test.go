package renewal_test

import (
	"errors"
	"maps"
	"net/http"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
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

// dies lets the replica die in its next renewal, at the second occurrence of when.
func (s *stopped) dies(when string) {
	s.store.on(dieAt(when, 2))
	died := make(chan struct{})
	go func() {
		defer close(died)
		s.anew()
	}()
	<-died
	s.store.on(func(string) error { return nil })
	want(s.t, "error", s.escrow.Close(), nil)
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
				for range 2 * 60 * 10 {
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
					s.dies("before grant.write")
					s.putBack(back)
					s.moveTo(s.world.replica(dir))
					want(t, "drained", len(s.Drain(t.Context())), 1)
				}
				want(t, "generation", s.grant(acme).Generation, 3)
				want(t, "published", s.token(acme).AccessToken, s.grant(acme).AccessToken)
				intent := s.grant(acme).Intent
				want(t, "claimed", intent != nil && intent.Claim, true)
				want(t, "brought forward", s.events.count(renewal.EventBroughtForward), 1)
				for range 2 * 60 * 4 {
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

// TestLatestOfSeveral: this replica's spool has an older answer than Redis. The published
// token's generation, which was not put back, says nothing of the refresh token's place.
func TestLatestOfSeveral(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		other := s.engine(s.world.replica(t.TempDir()))
		s.Renew(t.Context(), entry(acme))
		back := s.copied()
		s.anew()
		pass(time.Hour)
		want(t, "the other", other.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
		newest := s.copied()
		s.store.mu.Lock()
		s.store.grants[acme] = back.grant
		s.store.mu.Unlock()
		want(t, "result", s.anew().Result, renewal.ResultRecovered)
		want(t, "refresh token", s.grant(acme).RefreshToken, newest.grant.RefreshToken)
	})
}

// TestForgottenFromTheBeginning: Vault was put back to before the grant's first write, and what
// is committed then knows its place in the life of the seed.
func TestForgottenFromTheBeginning(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		dir := t.TempDir()
		other := s.engine(s.world.replica(t.TempDir()))
		other.Renew(t.Context(), entry(acme))
		pass(time.Hour)
		other.Renew(t.Context(), forced(acme))
		s.moveTo(s.world.replica(dir))
		s.dies("before grant.write")
		s.putBack(copyOf{})
		s.moveTo(s.world.replica(dir))
		want(t, "drained", len(s.Drain(t.Context())), 1)
		want(t, "rotation", s.grant(acme).Rotation, 3)
		want(t, "result", s.anew().Result, renewal.ResultRenewed)
		living := s.grant(acme).RefreshToken
		pass(5 * time.Hour)
		s.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadGateway})
		pass(time.Hour)
		other.Renew(t.Context(), forced(acme))
		want(t, "refresh token", s.grant(acme).RefreshToken, living)
		want(t, "set aside", s.events.count(renewal.EventSetAside), 0)
	})
}

// TestSeedThatVaultForgot: a tool stores the newest seed again after a restore to before it. Its
// life goes on where it was.
func TestSeedThatVaultForgot(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.Renew(t.Context(), entry(acme))
		back := s.copied()
		seed, err := s.sims.Checkfront.Authorize(s.app.ClientID)
		want(t, "error", err, nil)
		s.seed(seed)
		s.anew()
		want(t, "result", s.anew().Result, renewal.ResultRenewed)
		newest := s.copied()
		s.putBack(back)
		want(t, "result", s.anew().Result, renewal.ResultRecovered)
		want(t, "refresh token", s.grant(acme).RefreshToken, newest.grant.RefreshToken)
		noReuse(t, s.world)
	})
}

// TestProbeLooksForALaterToken: the answer to an open intent was committed and kept, and Vault
// put back. Redis has forgotten that the token was spent; it is not presented again.
func TestProbeLooksForALaterToken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.Renew(t.Context(), entry(acme))
		var open copyOf
		s.stopAt("after grant.write", 1, 0, func() { open = s.copied() })
		s.anew()
		newest, calls := s.copied(), s.sims.Checkfront.Ledger().Calls()
		s.putBack(open)
		clear(s.copies.marks)
		s.moveTo(s.world.replica(t.TempDir()))
		for s.grant(acme).Generation < newest.grant.Generation {
			pass(30 * time.Second)
			s.Drain(t.Context())
			s.Renew(t.Context(), entry(acme))
		}
		want(t, "refresh token", s.grant(acme).RefreshToken, newest.grant.RefreshToken)
		want(t, "calls", s.sims.Checkfront.Ledger().Calls(), calls)
	})
}

// TestKeyOfAKeptAnswer: the key is missing that the last answer was sealed to. Vault was put
// back, as the spent list knows: the grant waits for the key, as an answer in the spool would.
func TestKeyOfAKeptAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.Renew(t.Context(), entry(acme))
		back := s.copied()
		s.anew()
		s.putBack(back)
		stored := s.keys.keys
		other, err := escrow.NewKey("2", time.Now())
		want(t, "error", err, nil)
		s.keys.keys = []escrow.Key{other}
		for range 20 {
			s.anew()
			want(t, "given up", s.grant(acme).State == credential.GrantDead, false)
		}
		s.keys.keys = append(stored, other)
		s.anew()
		want(t, "brought forward", s.events.count(renewal.EventBroughtForward), 1)
		noReuse(t, s.world)
	})
}

// TestOldAnswerDoesNotTakeTheLastsPlace: a replica comes back with an answer of an authorization
// that a person has replaced.
func TestOldAnswerDoesNotTakeTheLastsPlace(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		dir := t.TempDir()
		s.moveTo(s.world.replica(dir))
		s.dies("after grant.write")
		s.moveTo(s.world.replica(t.TempDir()))
		s.anew()
		seed, err := s.sims.Checkfront.Authorize(s.app.ClientID)
		want(t, "error", err, nil)
		s.seed(seed)
		want(t, "result", s.anew().Result, renewal.ResultRenewed)
		last := string(s.copies.kept[acme])
		late := s.world.replica(dir)
		want(t, "waits", len(late.escrow.Waiting()), 1)
		s.engine(late).Drain(t.Context())
		want(t, "waits", len(late.escrow.Waiting()), 0)
		want(t, "kept", string(s.copies.kept[acme]) == last, true)
	})
}

// TestRefusalWithoutRedis: the provider's word counts though Redis cannot say whether a later
// token is kept; the dead grant is looked at again soon.
func TestRefusalWithoutRedis(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.Renew(t.Context(), entry(acme))
		pass(5 * time.Hour)
		s.copies.setDown(errors.New("redis is away"))
		s.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadRequest, Error: "invalid_grant"})
		out := s.anew()
		want(t, "state", s.grant(acme).State, credential.GrantDead)
		want(t, "status", s.token(acme).Status, credential.StatusNeedsAuthorization)
		want(t, "looked at again soon", time.Until(out.Due) <= time.Hour, true)
		want(t, "looked at again", time.Until(s.Renew(t.Context(), entry(acme)).Due) <= time.Hour, true)
		s.copies.setDown(nil)
		want(t, "and rarely then", time.Until(s.Renew(t.Context(), entry(acme)).Due) > time.Hour, true)
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
