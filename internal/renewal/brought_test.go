package renewal_test

import (
	"net/http"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
)

// TestBroughtForwardRestsUntilItIsDue: its token serves, and whoever may have presented it has
// until then to come back.
func TestBroughtForwardRestsUntilItIsDue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.Renew(t.Context(), entry(acme))
		back := s.copied()
		s.anew()
		issued, calls := time.Now(), s.sims.Checkfront.Ledger().Calls()
		s.putBack(back)
		out := s.anew()
		want(t, "result", out.Result, renewal.ResultRecovered)
		due := s.grant(acme).Intent.NotBefore
		want(t, "comes back one in-flight bound before it is due", out.Due, due.Add(-10*time.Minute))
		if life := due.Sub(issued); life < 2*time.Hour || life > 3*time.Hour {
			t.Errorf("it is due after %s of its four hours", life)
		}
		want(t, "the age of its intent", out.Memo.IntentSince.After(time.Now()), true)
		for s.sims.Checkfront.Ledger().Calls() == calls {
			pass(30 * time.Second)
			s.Drain(t.Context())
			s.Renew(t.Context(), entry(acme))
		}
		want(t, "it goes out when it is due", time.Since(due).Round(time.Minute), 0)
	})
}

// TestBroughtForwardIsRenewedOnRequest: a person does not have to wait until it is due.
func TestBroughtForwardIsRenewedOnRequest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		s.Renew(t.Context(), entry(acme))
		back := s.copied()
		s.anew()
		s.putBack(back)
		want(t, "result", s.anew().Result, renewal.ResultRecovered)
		asked, e := time.Now(), forced(acme)
		for out := s.Renew(t.Context(), e); out.Result != renewal.ResultRenewed; out = s.Renew(t.Context(), e) {
			want(t, "meanwhile", out.Result, renewal.ResultWaiting)
			pass(time.Until(out.Due))
			s.Drain(t.Context())
			e.Memo = out.Memo
		}
		want(t, "it took one in-flight bound", time.Since(asked).Round(time.Minute), 10*time.Minute)
	})
}

// TestBroughtForwardAndNotAnswered: once the token went out the claim is done with, and what
// comes of it is as with any other: probes one in-flight bound apart, and a loss that counts.
func TestBroughtForwardAndNotAnswered(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault providersim.Fault
		lost  int
	}{
		"it was not spent":   {providersim.Fault{Times: 1, Status: http.StatusTooManyRequests}, 0},
		"its answer is lost": {providersim.Fault{Times: 1, Status: http.StatusBadGateway, AfterEffect: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *stopped) {
				s.Renew(t.Context(), entry(acme))
				back := s.copied()
				s.anew()
				s.putBack(back)
				want(t, "result", s.anew().Result, renewal.ResultRecovered)
				s.sims.Checkfront.Inject(tc.fault)
				calls, asked, e := s.sims.Checkfront.Ledger().Calls(), time.Now(), forced(acme)
				for s.sims.Checkfront.Ledger().Calls() < calls+2 {
					e.Memo = s.Renew(t.Context(), e).Memo
					pass(30 * time.Second)
					s.Drain(t.Context())
				}
				want(t, "it took two in-flight bounds", time.Since(asked).Round(5*time.Minute), 20*time.Minute)
				for s.grant(acme).State == credential.GrantIntent {
					s.Renew(t.Context(), entry(acme))
					pass(5 * time.Minute)
				}
				want(t, "losses", s.events.count(renewal.EventAnswerLost), tc.lost)
			})
		})
	}
}

// TestKeepAccessWhileItRests: a grant that only kept itself alive is brought forward, and would
// rest for days. Somebody wants its access token now.
func TestKeepAccessWhileItRests(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *stopped) {
		keep := func(what string) {
			s.put(acme, map[string]any{
				"provider": "checkfront", "base_url": "https://acme.example", "keep": what,
				"client_id": s.app.ClientID, "client_secret": s.app.ClientSecret, "refresh_token": s.app.RefreshToken,
			})
		}
		keep("grant")
		s.Renew(t.Context(), entry(acme))
		back := s.copied()
		s.anew()
		s.putBack(back)
		want(t, "result", s.anew().Result, renewal.ResultRecovered)
		want(t, "rests for days", time.Until(s.grant(acme).Intent.NotBefore) > 24*time.Hour, true)
		keep("access")
		for range 2 * 60 * 4 {
			s.Renew(t.Context(), entry(acme))
			s.Drain(t.Context())
			pass(30 * time.Second)
		}
		want(t, "state", s.grant(acme).State, credential.GrantIdle)
		want(t, "serves", s.token(acme).Expired(time.Now()), false)
	})
}
