package renewal_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
)

func (w *world) kiboClient(id credential.ID) providersim.Client {
	w.t.Helper()
	c := w.sims.Kibo.AddClient(providersim.ClientSpec{})
	w.putKibo(id, c, c.ClientSecret)
	return c
}

func (w *world) putKibo(id credential.ID, c providersim.Client, secret string) {
	w.put(id, map[string]any{
		"provider": "kibo", "base_url": w.servers.URL("kibo"), "api_url": w.servers.URL("kibo"),
		"client_id": c.ClientID, "client_secret": secret,
	})
}

func (w *world) bookeoKey(id credential.ID) providersim.Key {
	w.t.Helper()
	k := w.sims.Bookeo.AddKey(providersim.KeySpec{AccountID: "A1", Permissions: []string{"bookings_rw_all"}})
	w.put(id, map[string]any{"provider": "bookeo", "base_url": w.servers.URL("bookeo"), "api_key": k.APIKey, "secret_key": k.SecretKey})
	return k
}

func TestMint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.kiboClient(acme)
	r := w.replica(t.TempDir())
	out := r.Renew(t.Context(), entry(acme))
	want(t, "result", out.Result, renewal.ResultRenewed)
	w.serves(acme)
	tok := w.token(acme)
	want(t, "generation", tok.Generation, 1)
	want(t, "due", out.Due, tok.RenewAt)
	if life := tok.ExpiresAt.Sub(tok.IssuedAt); life < 59*time.Minute || life > 61*time.Minute {
		t.Errorf("lifetime %s, want an hour", life)
	}
	want(t, "not due", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultUnchanged)
	want(t, "calls", w.sims.Kibo.Ledger().Calls(), 1)
	want(t, "forced", r.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
	want(t, "generation", w.token(acme).Generation, 2)
}

func TestStaticIsPublishedOnceAndWhenItChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bookeoKey(acme)
	r := w.replica(t.TempDir())
	out := r.Renew(t.Context(), entry(acme))
	want(t, "result", out.Result, renewal.ResultRenewed)
	if in := time.Until(out.Due); in < 5*time.Hour || in > 7*time.Hour {
		t.Errorf("verified again in %s, want 6h", in)
	}
	w.serves(acme)
	writes := w.store.ops["token.write"]
	again := r.Renew(t.Context(), credential.Entry{ID: acme, Memo: out.Memo})
	want(t, "result", again.Result, renewal.ResultVerified)
	want(t, "writes", w.store.ops["token.write"], writes)
	want(t, "expires_at", w.token(acme).ExpiresAt.IsZero(), true)

	w.bookeoKey(acme) // a person stores another key
	changed := r.Renew(t.Context(), credential.Entry{ID: acme, Memo: again.Memo})
	want(t, "result", changed.Result, renewal.ResultRenewed)
	want(t, "generation", w.token(acme).Generation, 2)
	w.serves(acme)
}

func TestRefusedKeyIsConfirmedBeforeAPersonIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.bookeoKey(acme)
	r := w.replica(t.TempDir())
	out := r.Renew(t.Context(), entry(acme))
	if err := w.sims.Bookeo.RevokeKey(key.APIKey); err != nil {
		t.Fatal(err)
	}
	for i, wait := range []time.Duration{time.Minute, 5 * time.Minute} {
		out = r.Renew(t.Context(), credential.Entry{ID: acme, Memo: out.Memo})
		want(t, "refusals", out.Memo.Refusals, i+1)
		want(t, "status", w.token(acme).Status, credential.StatusRetrying)
		if in := time.Until(out.Due); in > wait || in < wait-10*time.Second {
			t.Errorf("confirmed in %s, want %s", in, wait)
		}
	}
	out = r.Renew(t.Context(), credential.Entry{ID: acme, Memo: out.Memo})
	want(t, "status", w.token(acme).Status, credential.StatusNeedsAuthorization)
	want(t, "still published", w.token(acme).Serves(), true)

	w.sims.Bookeo.Inject(providersim.Fault{Times: 1, Status: http.StatusBadGateway})
	out = r.Renew(t.Context(), credential.Entry{ID: acme, Memo: out.Memo})
	want(t, "a hiccup changes nothing", w.token(acme).Status, credential.StatusNeedsAuthorization)

	w.bookeoKey(acme)
	want(t, "result", r.Renew(t.Context(), credential.Entry{ID: acme, Memo: out.Memo}).Result, renewal.ResultRenewed)
	want(t, "status", w.token(acme).Status, credential.StatusActive)
	want(t, "message", w.token(acme).Message, "")
}

func TestProviderDownBacksOffAndComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.kiboClient(acme)
	r := w.replica(t.TempDir())
	w.sims.Kibo.Inject(providersim.Fault{Times: 3, Status: http.StatusServiceUnavailable, RetryAfter: "7"})
	e := entry(acme)
	for i := range 3 {
		out := r.Renew(t.Context(), e)
		want(t, "failures", out.Memo.Failures, i+1)
		want(t, "status", w.token(acme).Status, credential.StatusPending)
		if in := time.Until(out.Due); in < 6*time.Second {
			t.Errorf("again in %s, although the provider asked for 7s", in)
		}
		e.Memo = out.Memo
	}
	want(t, "statuses written", w.store.ops["token.write"], 1)
	out := r.Renew(t.Context(), e)
	want(t, "result", out.Result, renewal.ResultRenewed)
	want(t, "failures", out.Memo.Failures, 0)
}

func TestMisconfigured(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		data map[string]any
		says string
	}{
		"unknown provider": {map[string]any{"provider": "nobody"}, `"nobody"`},
		"unknown method":   {map[string]any{"provider": "kibo", "auth": "magic"}, `"magic"`},
		"missing field":    {map[string]any{"provider": "kibo", "client_id": "id"}, `"client_secret"`},
		"host off the list": {map[string]any{
			"provider": "kibo", "client_id": "id", "client_secret": "s3cret-sim", "base_url": "https://evil.example.com",
		}, "evil.example.com"},
		"http": {map[string]any{
			"provider": "kibo", "client_id": "id", "client_secret": "s3cret-sim", "base_url": "http://auth.shopatron.com",
		}, "https"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put(acme, tc.data)
			r := w.replica(t.TempDir())
			out := r.Renew(t.Context(), entry(acme))
			want(t, "kind", credential.KindOf(out.Err), credential.KindMisconfigured)
			tok := w.token(acme)
			want(t, "status", tok.Status, credential.StatusMisconfigured)
			if !strings.Contains(tok.Message, tc.says) {
				t.Errorf("message %q does not name %s", tok.Message, tc.says)
			}
			if strings.Contains(tok.Message, "s3cret") {
				t.Errorf("message %q shows a secret", tok.Message)
			}
			want(t, "calls", w.sims.Kibo.Ledger().Calls(), 0)
		})
	}
}

func TestWrongSecretIsMisconfiguredUntilItIsCorrected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.kiboClient(acme)
	w.putKibo(acme, c, "sim-wrong")
	r := w.replica(t.TempDir())
	out := r.Renew(t.Context(), entry(acme))
	want(t, "status", w.token(acme).Status, credential.StatusMisconfigured)
	out = r.Renew(t.Context(), credential.Entry{ID: acme, Memo: out.Memo})
	want(t, "failures", out.Memo.Failures, 2)
	w.putKibo(acme, c, "sim-wrong-again")
	out = r.Renew(t.Context(), credential.Entry{ID: acme, Memo: out.Memo})
	want(t, "an edit clears the backoff", out.Memo.Failures, 1)
	w.putKibo(acme, c, c.ClientSecret)
	out = r.Renew(t.Context(), credential.Entry{ID: acme, Memo: out.Memo})
	want(t, "result", out.Result, renewal.ResultRenewed)
	want(t, "failures", out.Memo.Failures, 0)
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.kiboClient(acme)
	r := w.replica(t.TempDir())
	r.Renew(t.Context(), entry(acme))
	c := w.store.creds[acme]
	c.Paused, c.Version = true, c.Version+1
	w.store.creds[acme] = c
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultPaused)
	want(t, "status", w.token(acme).Status, credential.StatusPaused)
	want(t, "token stays", w.token(acme).Serves(), true)
	want(t, "calls", w.sims.Kibo.Ledger().Calls(), 1)
	c.Paused, c.Version = false, c.Version+1
	w.store.creds[acme] = c
	r.Renew(t.Context(), entry(acme))
	want(t, "status", w.token(acme).Status, credential.StatusActive)
}

func TestPausedGrantIsStillWatched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	r.Renew(t.Context(), entry(acme))
	c := w.store.creds[acme]
	c.Paused = true
	w.store.creds[acme] = c
	out := r.Renew(t.Context(), forced(acme))
	want(t, "result", out.Result, renewal.ResultPaused)
	want(t, "the grant's end is known", out.Memo.GrantExpiresAt.IsZero(), false)
	c.Paused = false
	w.store.creds[acme] = c
	r.Renew(t.Context(), entry(acme))
	want(t, "status", w.token(acme).Status, credential.StatusActive)
	want(t, "rotations", w.sims.Checkfront.Ledger().Calls(), 1)
}

func TestGoneAndRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.kiboClient(acme)
	r := w.replica(t.TempDir())
	r.Renew(t.Context(), entry(acme))
	again := w.store.creds[acme]
	delete(w.store.creds, acme)
	out := r.Renew(t.Context(), entry(acme))
	want(t, "no trace: the scan decides", out.Result, renewal.ResultGone)
	want(t, "token stays", w.token(acme).Serves(), true)
	want(t, "stored again, a scan brings it forward", out.Memo.Edited(again), true)

	w.store.on(func(at string) error {
		if at == "before credential.read" {
			return credential.ErrDeleted
		}
		return nil
	})
	want(t, "deleted", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultRemoved)
	tok := w.token(acme)
	want(t, "status", tok.Status, credential.StatusRemoved)
	want(t, "blanked", tok.Serves() || tok.AccessToken != "", false)
	want(t, "generation stays", tok.Generation, 1)
}

func TestExpiredIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.kiboClient(acme)
	r := w.replica(t.TempDir())
	r.Renew(t.Context(), entry(acme))
	tok := w.store.tokens[acme]
	tok.ExpiresAt, tok.RenewAt = time.Now().Add(-time.Minute), time.Now().Add(-time.Hour)
	w.store.tokens[acme] = tok
	w.sims.Kibo.Inject(providersim.Fault{Times: 1, Status: http.StatusInternalServerError})
	r.Renew(t.Context(), entry(acme))
	want(t, "status", w.token(acme).Status, credential.StatusExpired)
	r.Renew(t.Context(), entry(acme))
	want(t, "status", w.token(acme).Status, credential.StatusActive)
	want(t, "generation", w.token(acme).Generation, 2)
}
