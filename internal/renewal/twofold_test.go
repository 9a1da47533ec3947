package renewal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/renewal"
	"refresher/refreshers"
)

// The tests in this file are about what happens when two rare things meet.

// goOn lets the replica go on for so long, with a tick every half minute.
func (s *stopped) goOn(d time.Duration, ids ...credential.ID) {
	for range d / (30 * time.Second) {
		pass(30 * time.Second)
		s.Drain(s.t.Context())
		for _, id := range ids {
			s.Renew(s.t.Context(), entry(id))
		}
	}
}

// calls is how often the provider was asked for a token.
func (s *stopped) calls() int { return s.sims.Checkfront.Ledger().Calls() }

// TestKeptHereWhileRedisIsAway: Vault was put back, to a token that another replica had presented,
// or to a dead grant. What is kept in this spool is enough to bring the grant forward.
func TestKeptHereWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	for name, dead := range map[string]bool{"idle": false, "dead": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				other := s.engine(s.world.replica(t.TempDir()))
				other.Renew(t.Context(), entry(acme))
				back := s.copied()
				if dead {
					back.grant.State = credential.GrantDead
				}
				pass(time.Hour)
				want(t, "other", other.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
				want(t, "here", s.anew().Result, renewal.ResultRenewed)
				living, calls := s.grant(acme), s.calls()
				s.putBack(back)
				s.copies.setDown(errors.New("redis is away"))
				want(t, "result", s.anew().Result, renewal.ResultRecovered)
				want(t, "serves", s.token(acme).AccessToken, living.AccessToken)
				want(t, "status", s.token(acme).Status, credential.StatusActive)
				s.goOn(5*time.Hour, acme)
				want(t, "calls without Redis, which may know of a later one", s.calls()-calls, 0)
				s.copies.setDown(nil)
				s.goOn(time.Hour, acme)
				want(t, "calls", s.calls()-calls, 1)
				want(t, "status", s.token(acme).Status, credential.StatusActive)
				noReuse(t, s.world)
			})
		})
	}
}

// TestRefusedAndThenRedisIsAway: Redis knew that the token was spent, and is away when its probe
// comes. What it said is not forgotten.
func TestRefusedAndThenRedisIsAway(t *testing.T) {
	t.Parallel()
	for name, mark := range map[string]string{"sent": "sent", "rotated": "rotated"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				other := s.engine(s.world.replica(t.TempDir()))
				other.Renew(t.Context(), entry(acme))
				back := s.copied()
				pass(time.Hour)
				want(t, "other", other.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
				living, calls := s.grant(acme), s.calls()
				s.putBack(back)
				clear(s.copies.kept)
				s.copies.marks[back.grant.RefreshToken.Hash()] = mark
				want(t, "refused", s.anew().Result == renewal.ResultFailed, true)
				s.copies.setDown(errors.New("redis is away"))
				s.goOn(3*time.Hour, acme)
				want(t, "calls", s.calls()-calls, 0)
				want(t, "given up", s.grant(acme).State == credential.GrantDead, false)
				s.copies.setDown(nil)
				other.RedisForgot()
				other.Drain(t.Context())
				s.goOn(time.Minute, acme)
				want(t, "brought forward", s.grant(acme).RefreshToken, living.RefreshToken)
				s.goOn(time.Hour, acme)
				want(t, "status", s.token(acme).Status, credential.StatusActive)
				noReuse(t, s.world)
			})
		})
	}
}

// TestTwoNamesAndRedisIsAway: one grant is stored under two names. The second is refused by
// what Redis knows, and is away when its probe would come: the first lives on.
func TestTwoNamesAndRedisIsAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		second := credential.ID{Tenant: "acme", Name: "copy"}
		other := s.engine(s.world.replica(t.TempDir()))
		want(t, "first name", other.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
		s.store.mu.Lock()
		copied := s.store.creds[acme]
		copied.ID = second
		s.store.creds[second] = copied
		s.store.mu.Unlock()
		calls := s.calls()
		want(t, "second name", s.Renew(t.Context(), entry(second)).Result, renewal.ResultFailed)
		s.copies.setDown(errors.New("redis is away"))
		s.goOn(time.Hour, second)
		want(t, "calls", s.calls()-calls, 0)
		s.copies.setDown(nil)
		pass(4 * time.Hour)
		want(t, "first name", other.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
		noReuse(t, s.world)
	})
}

// TestSeedInFlight: Vault is put back to before a new authorization while the answer to its first
// presentation is under way. Nothing has overtaken it.
func TestSeedInFlight(t *testing.T) {
	t.Parallel()
	for name, dead := range map[string]bool{"the old one is dead": true, "the old one lives": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				s.Renew(t.Context(), entry(acme))
				back := s.copied()
				if dead {
					back.grant.State = credential.GrantDead
					s.putBack(back)
				}
				seed, err := s.sims.Checkfront.Authorize(s.app.ClientID)
				want(t, "error", err, nil)
				s.seed(seed)
				s.stopAt("answer", 1, time.Second, func() { s.putBack(back) })
				s.anew()
				s.goOn(8*time.Hour, acme)
				want(t, "set aside", s.events.count(renewal.EventSetAside), 0)
				want(t, "waiting", len(s.escrow.Waiting()), 0)
				want(t, "status", s.token(acme).Status, credential.StatusActive)
				noReuse(t, s.world)
			})
		})
	}
}

// TestWaitingAnswerOfAForgottenSeed: an answer waits in the spool, and Vault is put back to before
// its authorization, whose seed is stored again later. That answer holds the living token.
func TestWaitingAnswerOfAForgottenSeed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		dir := t.TempDir()
		s.moveTo(s.world.replica(dir))
		s.Renew(t.Context(), entry(acme))
		back, old := s.copied(), s.app.RefreshToken
		seed, err := s.sims.Checkfront.Authorize(s.app.ClientID)
		want(t, "error", err, nil)
		s.seed(seed)
		want(t, "adopted", s.anew().Result, renewal.ResultRenewed)
		want(t, "rotated", s.anew().Result, renewal.ResultRenewed)
		s.dies("before grant.write")
		s.putBack(back)
		s.seed(old) // Vault was put back as a whole
		s.moveTo(s.world.replica(dir))
		s.Drain(t.Context())
		want(t, "waiting", len(s.escrow.Waiting()), 1)
		s.seed(seed)
		s.goOn(8*time.Hour, acme)
		want(t, "set aside", s.events.count(renewal.EventSetAside), 0)
		want(t, "waiting", len(s.escrow.Waiting()), 0)
		want(t, "status", s.token(acme).Status, credential.StatusActive)
		noReuse(t, s.world)
	})
}

// repeats is a provider that answers with an access token which lives already.
type repeats struct {
	renewal.Provider
	access string
}

func (p repeats) Once(sendBy time.Time, timeout time.Duration, gate func(context.Context) error) refreshers.Doer {
	once := p.Provider.Once(sendBy, timeout, gate)
	return doer(func(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
		answer, err := once.Do(ctx, req)
		var pair map[string]any
		if json.NewDecoder(bytes.NewReader(answer.Body)).Decode(&pair) == nil {
			pair["access_token"] = p.access
			answer.Body, _ = json.Marshal(pair)
		}
		return answer, err
	})
}

// TestAccessTokenComesAgain: a provider repeats the access token that still lives, beside a new
// refresh token, and the process dies before the commit. The answer is not there already.
func TestAccessTokenComesAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		dir := t.TempDir()
		s.moveTo(s.world.replica(dir))
		s.Renew(t.Context(), entry(acme))
		before := s.grant(acme)
		s.store.on(dieAt("before grant.write", 2))
		died := make(chan struct{})
		go func() {
			defer close(died)
			pass(time.Hour)
			s.engineWith(s.replica, repeats{direct{s.Parts.Provider, s.sims, func() {}}, before.AccessToken.Reveal()}).Renew(t.Context(), forced(acme))
		}()
		<-died
		s.store.on(func(string) error { return nil })
		want(t, "error", s.escrow.Close(), nil)
		s.moveTo(s.world.replica(dir))
		want(t, "waiting", len(s.escrow.Waiting()), 1)
		s.Drain(t.Context())
		want(t, "committed", s.grant(acme).RefreshToken != before.RefreshToken, true)
		s.goOn(8*time.Hour, acme)
		want(t, "status", s.token(acme).Status, credential.StatusActive)
		noReuse(t, s.world)
	})
}

// TestUnheardCommitFollowedByOthers: a commit succeeded, its process did not hear of it, and
// another replica has rotated on when it reads back. Nobody is called for that.
func TestUnheardCommitFollowedByOthers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.Renew(t.Context(), entry(acme))
		other, writes := s.engine(s.world.replica(t.TempDir())), 0
		s.store.on(func(at string) error {
			if at != "after grant.write" {
				return nil
			}
			if writes++; writes != 2 {
				return nil
			}
			s.store.on(func(string) error { return nil })
			pass(time.Hour)
			want(t, "other", other.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
			return errLost
		})
		want(t, "result", s.anew().Result, renewal.ResultRenewed)
		want(t, "generation", s.token(acme).Generation, 3)
		want(t, "set aside", s.events.count(renewal.EventSetAside), 0)
		want(t, "waiting", len(s.escrow.Waiting()), 0)
		noReuse(t, s.world)
	})
}

// TestToAnotherMethodAndBack: a credential goes to another method of its provider and back. What
// was published for that method does not stand in the way of the grant's own word.
func TestToAnotherMethodAndBack(t *testing.T) {
	t.Parallel()
	for name, dead := range map[string]bool{"its grant died": true, "its grant is not due": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			app, pair := w.checkfrontApp(acme), w.sims.Checkfront.AddTokenPair("acme")
			r, e := w.replica(t.TempDir()), entry(acme)
			e.Memo = r.Renew(t.Context(), e).Memo
			status := credential.StatusActive
			if dead {
				status = credential.StatusNeedsAuthorization
				w.store.mu.Lock()
				g := w.store.grants[acme]
				g.State = credential.GrantDead
				w.store.grants[acme] = g
				w.store.mu.Unlock()
			}
			w.put(acme, map[string]any{
				"provider": "checkfront", "auth": "token_pair", "base_url": w.servers.URL("checkfront"), "api_key": pair.APIKey, "api_secret": pair.APISecret,
			})
			e.Memo = r.Renew(t.Context(), e).Memo
			want(t, "auth", w.token(acme).Auth, "token_pair")
			between := w.token(acme).Generation
			w.putSeed(acme, app, app.RefreshToken)
			for range 3 {
				e.Memo = r.Renew(t.Context(), e).Memo
			}
			token := w.token(acme)
			want(t, "auth", token.Auth, "oauth2")
			want(t, "status", token.Status, status)
			want(t, "generation goes back", token.Generation < between, false)
			want(t, "headers", token.Headers["Authorization"] == "", dead)
		})
	}
}
