package renewal_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
	"refresher/refreshers"
)

// direct is a way to the simulator without a network, for a bubble. then happens
// before an answer is handed on.
type direct struct {
	renewal.Provider
	sims *providersim.Providers
	then func()
}

func (direct) Guard(string, []string) error { return nil }

func (d direct) Once(_ time.Time, _ time.Duration, gate func(context.Context) error) refreshers.Doer {
	return doer(func(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
		if err := gate(ctx); err != nil {
			return refreshers.Answer{}, &credential.Error{Kind: credential.KindTransient, Code: credential.CodeNotConnected, Err: err}
		}
		answer := refreshers.Answer{StartedAt: time.Now()}
		recorder := httptest.NewRecorder()
		d.sims.Checkfront.ServeHTTP(recorder, req)
		answer.Status, answer.Header, answer.Body = recorder.Code, recorder.Header(), recorder.Body.Bytes()
		d.then()
		return answer, nil
	})
}

// stopped is a world in a bubble with one replica, which stands still at one point of a visit.
type stopped struct {
	*world
	*replica
	app      providersim.App
	answered func()
}

// inBubble runs a test in a world with the limits of the protocol.
func inBubble(t *testing.T, test func(*testing.T, *stopped)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, store: newStore(), copies: newCopies(), keys: &keys{}, sims: providersim.New(providersim.Options{})}
		s := &stopped{world: w, replica: w.replica(t.TempDir()), app: w.sims.Checkfront.AddApp(providersim.AppSpec{})}
		s.answered = func() {}
		s.Engine = s.engine(s.replica)
		s.seed(s.app.RefreshToken)
		test(t, s)
	})
}

func (s *stopped) engine(r *replica) *renewal.Engine {
	parts := r.Parts
	parts.Provider = direct{parts.Provider, s.sims, func() { s.answered() }}
	return renewal.New(parts, timing(), renewal.Limits{
		SendDeadline: 15 * time.Second, RotationTimeout: 2 * time.Minute, InFlightBound: 10 * time.Minute,
		TakeoverAfter: time.Hour, TakeoverAfterDormant: 24 * time.Hour, CommitRetryMax: 30 * time.Second,
		AskPersonEvery: time.Hour, StoreRetry: 10 * time.Second,
	})
}

func (s *stopped) seed(refreshToken string) {
	s.put(acme, map[string]any{
		"provider": "checkfront", "base_url": "https://acme.example",
		"client_id": s.app.ClientID, "client_secret": s.app.ClientSecret, "refresh_token": refreshToken,
	})
}

// stopAt has the replica stand still for d at the nth occurrence of when: of an operation in
// Vault, or of an answer.
func (s *stopped) stopAt(when string, n int, d time.Duration, meanwhile func()) {
	seen := 0
	at := func(what string) error {
		if what == when {
			if seen++; seen == n {
				pass(d)
				meanwhile()
			}
		}
		return nil
	}
	s.store.on(at)
	s.answered = func() { _ = at("answer") }
}

func pass(d time.Duration) { <-time.After(d) }

// comesRound is a restore of Vault after which others bring the grant to the same version. They
// are at work on it, or are not.
func (s *stopped) comesRound(atWork bool) {
	now := time.Now().UTC()
	theirs := credential.Grant{
		State: credential.GrantIdle, RefreshToken: "sim-theirs", RefreshTokenIssuedAt: now, Generation: 7,
		AccessToken: "sim-theirs-access", IssuedAt: now, ExpiresAt: now.Add(time.Hour), Seeds: []string{"theirs"},
	}
	if atWork {
		theirs.State, theirs.Intent = credential.GrantIntent, &credential.Intent{Attempt: "theirs", Owner: "they", BeganAt: now}
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.grants[acme] = theirs
}

// TestOldReading: a replica stands still between reading a grant and writing it. Vault
// is restored meanwhile, and the version that was read is another document by now. It
// is not written over.
func TestOldReading(t *testing.T) {
	t.Parallel()
	rotate := func(s *stopped) { s.Renew(s.t.Context(), entry(acme)) }
	inject := func(f providersim.Fault) func(*stopped) {
		f.Times = 1
		return func(s *stopped) {
			s.sims.Checkfront.Inject(f)
		}
	}
	revoke := func(s *stopped) {
		if err := s.sims.Checkfront.RevokeGrant(s.app.ClientID); err != nil {
			s.t.Fatal(err)
		}
	}
	visit := func(s *stopped) renewal.Outcome { return s.Renew(s.t.Context(), forced(acme)) }
	for name, tc := range map[string]struct {
		prepare []func(*stopped)
		when    string
		n       int
		do      func(*stopped) renewal.Outcome
		calls   int // to the provider, from when the replica stood still
	}{
		"a seed's first intent": {nil, "after grant.read", 1, visit, 0},
		"an intent":             {[]func(*stopped){rotate}, "after grant.read", 1, visit, 0},
		"a probe": {[]func(*stopped){inject(providersim.Fault{Status: http.StatusBadGateway}), rotate, func(*stopped) {
			pass(10 * time.Minute)
		}}, "after grant.read", 1, visit, 0},
		"a claim": {[]func(*stopped){inject(providersim.Fault{Status: http.StatusBadGateway}), rotate, func(s *stopped) {
			pass(2 * time.Hour)
			s.replica = s.world.replica(s.t.TempDir())
			s.Engine = s.engine(s.replica)
		}}, "after grant.read", 1, visit, 0},
		"an old seed is taken down": {[]func(*stopped){rotate, func(s *stopped) {
			s.seed(s.grant(acme).RefreshToken.Reveal())
		}}, "after grant.read", 1, visit, 0},
		"an intent is closed": {[]func(*stopped){inject(providersim.Fault{Status: http.StatusTooManyRequests})}, "answer", 1, visit, 1},
		"a grant is dead":     {[]func(*stopped){revoke}, "after grant.read", 2, visit, 1},
		"a probe is put off":  {[]func(*stopped){rotate, revoke}, "after grant.read", 2, visit, 1},
		"a commit":            {[]func(*stopped){rotate}, "answer", 1, visit, 1},
		"a drain": {[]func(*stopped){func(s *stopped) {
			s.store.on(dieAt("before grant.write", 2))
			died := make(chan struct{})
			go func() {
				defer close(died)
				s.Renew(s.t.Context(), entry(acme))
			}()
			<-died
		}}, "after grant.read", 1, func(s *stopped) renewal.Outcome {
			want(s.t, "waiting", len(s.escrow.Waiting()), 1)
			s.Drain(s.t.Context())
			return renewal.Outcome{}
		}, 0},
	} {
		for _, atWork := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", others at work ", atWork), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, s *stopped) {
					for _, do := range tc.prepare {
						do(s)
					}
					calls := s.sims.Checkfront.Ledger().Calls()
					s.stopAt(tc.when, tc.n, time.Minute, func() { s.comesRound(atWork) })
					out := tc.do(s)
					want(t, "grant", s.grant(acme).RefreshToken.Reveal(), "sim-theirs")
					want(t, "generation", s.grant(acme).Generation, 7)
					want(t, "intent", s.grant(acme).Intent != nil, atWork)
					want(t, "calls", s.sims.Checkfront.Ledger().Calls()-calls, tc.calls)
					if tc.calls == 0 && out.Due.After(time.Now()) {
						t.Errorf("it comes back in %s, want at once", time.Until(out.Due))
					}
				})
			})
		}
	}
}

// TestOldReadingBetweenTwoTries: the tries of a commit are far apart in an outage, and Vault is
// restored before it comes back.
func TestOldReadingBetweenTwoTries(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		began := time.Now()
		s.store.on(func(at string) error {
			if at == "before grant.write" && s.sims.Checkfront.Ledger().Calls() > 0 && time.Since(began) < 50*time.Second {
				return errLost
			}
			return nil
		})
		restored := time.AfterFunc(40*time.Second, func() { s.comesRound(false) })
		defer restored.Stop()
		want(t, "result", s.Renew(t.Context(), entry(acme)).Result, renewal.ResultFailed)
		want(t, "grant", s.grant(acme).RefreshToken.Reveal(), "sim-theirs")
		want(t, "set aside", s.events.count(renewal.EventSetAside), 1)
	})
}

// TestOldReadingOfTheToken: what is published is not written over on an old reading either.
func TestOldReadingOfTheToken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.stopAt("after token.read", 2, time.Minute, func() {
			s.store.mu.Lock()
			defer s.store.mu.Unlock()
			s.store.tokens[acme] = credential.Token{Status: credential.StatusActive, Generation: 7}
		})
		s.store.mu.Lock()
		s.store.tokens[acme] = credential.Token{Status: credential.StatusActive, Generation: 1}
		s.store.mu.Unlock()
		want(t, "result", s.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
		want(t, "generation", s.token(acme).Generation, 7)
	})
}

// TestOldReadingIsReadAgain: a replica stood still and nothing else happened. It goes on
// with what it reads then, and a call that took long costs one more request.
func TestOldReadingIsReadAgain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		when   string
		fault  providersim.Fault
		visits int
		reads  int
		state  credential.GrantState
	}{
		"before the intent":             {"after grant.read", providersim.Fault{}, 2, 2, credential.GrantIdle},
		"before the commit":             {"answer", providersim.Fault{}, 1, 2, credential.GrantIdle},
		"before it was closed":          {"answer", providersim.Fault{Times: 1, Status: http.StatusTooManyRequests}, 2, 3, credential.GrantIdle},
		"before it was dead":            {"answer", providersim.Fault{Times: 1, Status: http.StatusBadRequest, Error: "invalid_grant"}, 1, 2, credential.GrantDead},
		"before the same token is kept": {"answer", providersim.Fault{Times: 1, NoRotation: true}, 1, 2, credential.GrantIdle},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				if tc.fault.Times > 0 {
					s.sims.Checkfront.Inject(tc.fault)
				}
				s.stopAt(tc.when, 1, time.Minute, func() {})
				var out renewal.Outcome
				for range tc.visits {
					out = s.Renew(t.Context(), entry(acme))
				}
				want(t, "state", s.grant(acme).State, tc.state)
				want(t, "renewed", out.Result == renewal.ResultRenewed, tc.state == credential.GrantIdle)
				want(t, "reads of the grant", s.store.ops["grant.read"], tc.reads)
				want(t, "probes", s.events.count(renewal.EventProbe), 0)
			})
		})
	}
}
