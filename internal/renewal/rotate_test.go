package renewal_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
)

func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	r := w.replica(t.TempDir())

	out := r.Renew(t.Context(), entry(acme))
	want(t, "result", out.Result, renewal.ResultRenewed)
	want(t, "error", out.Err, nil)
	g, tok := w.grant(acme), w.token(acme)
	want(t, "state", g.State, credential.GrantIdle)
	want(t, "refresh token", g.RefreshToken.Reveal(), w.sims.Checkfront.LivingRefreshToken(app.ClientID))
	want(t, "generation", g.Generation, 1)
	want(t, "published generation", tok.Generation, 1)
	want(t, "status", tok.Status, credential.StatusActive)
	want(t, "renew_at", tok.RenewAt, out.Due)
	want(t, "waiting answers", len(r.escrow.Waiting()), 0)
	want(t, "copies", len(w.copies.data), 0)
	w.serves(acme)

	again := r.Renew(t.Context(), credential.Entry{ID: acme, Memo: out.Memo})
	want(t, "second visit", again.Result, renewal.ResultUnchanged)
	want(t, "due", again.Due, out.Due)

	third := r.Renew(t.Context(), forced(acme))
	want(t, "forced visit", third.Result, renewal.ResultRenewed)
	want(t, "generation", w.token(acme).Generation, 2)
	w.serves(acme)
	noReuse(t, w)
}

// noReuse fails if any refresh token was presented twice.
func noReuse(t *testing.T, w *world) {
	t.Helper()
	for hash, n := range w.sims.Checkfront.Ledger().Presentations() {
		if n > 1 {
			t.Errorf("token %.8s was presented %d times", hash, n)
		}
	}
}

// TestOneRotationOrderOfEffects holds the order of what others can see: the
// intent before the call, the sealed copy before the commit, the commit before the publication.
func TestOneRotationOrderOfEffects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	var steps []string
	w.store.on(func(when string) error {
		switch when {
		case "before grant.write":
			calls, sealed := w.sims.Checkfront.Ledger().Calls(), len(w.copies.data)
			steps = append(steps, map[bool]string{true: "commit", false: "intent"}[calls > 0])
			if calls > 0 && sealed != 1 {
				t.Errorf("%d sealed copies at the commit, want 1", sealed)
			}
		case "before token.write":
			steps = append(steps, "publish")
		}
		return nil
	})
	r.Renew(t.Context(), entry(acme))
	want(t, "steps", strings.Join(steps, " "), "intent commit publish")
}

func TestRequestsOfOneRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	r.Renew(t.Context(), entry(acme))
	total := 0
	for _, n := range w.store.ops {
		total += n
	}
	// Reads: credential, token, grant, and the token again under the check-and-set.
	// Writes: intent, commit, publication.
	want(t, "requests to Vault", total, 7)
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 1)
}

func TestIntentIsTheFence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	a, b := w.replica(t.TempDir()), w.replica(t.TempDir())
	outs := make(chan renewal.Outcome, 2)
	for _, r := range []*replica{a, b} {
		go func() { outs <- r.Renew(context.Background(), entry(acme)) }()
	}
	results := map[string]int{}
	for range 2 {
		results[(<-outs).Result]++
	}
	want(t, "rotations", w.sims.Checkfront.Ledger().Count(providersim.Match{Endpoint: providersim.EndpointToken}), 1)
	want(t, "renewed", results[renewal.ResultRenewed], 1)
	noReuse(t, w)
}

func TestNoRoomNoRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	dir := t.TempDir()
	r := w.replica(dir)
	brk, mend := breakSpool(t, dir)
	brk()
	out := r.Renew(t.Context(), entry(acme))
	want(t, "result", out.Result, renewal.ResultFailed)
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 0)
	want(t, "events", r.events.count(renewal.EventNoRoom), 1)
	want(t, "failures", out.Memo.Failures, 0)
	mend()
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
}

// errLost stands for a connection to Vault that broke.
var errLost = errors.New("connection reset")

// nth fails the nth occurrence of when.
func nth(when string, n int32) func(string) error {
	var seen atomic.Int32
	return func(at string) error {
		if at == when && seen.Add(1) == n {
			return errLost
		}
		return nil
	}
}

// TestVaultFaults: whatever single Vault operation fails, before or after it
// happened, the rotation happens once and its result arrives.
func TestVaultFaults(t *testing.T) {
	t.Parallel()
	ops := []string{"credential.read", "token.read", "grant.read", "grant.write", "token.write"}
	for _, op := range ops {
		for _, when := range []string{"before ", "after "} {
			for n := int32(1); n <= 3; n++ {
				t.Run(when+op+strconv.Itoa(int(n)), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					w.checkfrontApp(acme)
					r := w.replica(t.TempDir())
					w.store.on(nth(when+op, n))
					w.visitUntil(r, entry(acme), func(renewal.Outcome) bool { return w.token(acme).Status == credential.StatusActive })
					w.serves(acme)
					want(t, "rotations", w.sims.Checkfront.Ledger().Count(providersim.Match{Endpoint: providersim.EndpointToken, Result: providersim.ResultOK}), 1)
					want(t, "reuse", w.sims.Checkfront.Ledger().Count(providersim.Match{Result: providersim.ResultReuse}), 0)
					want(t, "state", w.grant(acme).State, credential.GrantIdle)
					// What happened unheard is read back: nothing is probed, nothing set aside.
					want(t, "probes", r.events.count(renewal.EventProbe), 0)
					want(t, "set aside", r.events.count(renewal.EventSetAside), 0)
					want(t, "generation", w.grant(acme).Generation, 1)
				})
			}
		}
	}
}

func TestProvenUnspentClosesTheIntent(t *testing.T) {
	t.Parallel()
	for name, inject := range map[string]func(*world){
		"429": func(w *world) {
			w.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusTooManyRequests})
		},
		"not connected": func(w *world) { _ = w.servers.Down("checkfront") },
		"invalid_client": func(w *world) {
			w.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: 401, Error: "invalid_client"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.checkfrontApp(acme)
			r := w.replica(t.TempDir())
			inject(w)
			out := r.Renew(t.Context(), entry(acme))
			want(t, "result", out.Result, renewal.ResultFailed)
			want(t, "state", w.grant(acme).State, credential.GrantIdle)
			_ = w.servers.Up("checkfront")
			w.visitUntil(r, entry(acme), func(o renewal.Outcome) bool { return o.Result == renewal.ResultRenewed })
			w.serves(acme)
			want(t, "probes", r.events.count(renewal.EventProbe), 0)
		})
	}
}

func TestAmbiguousAnswerIsProbed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	w.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadGateway})
	out := r.Renew(t.Context(), entry(acme))
	want(t, "kind", credential.KindOf(out.Err), credential.KindAmbiguous)
	want(t, "state", w.grant(acme).State, credential.GrantIntent)
	w.age(acme, -time.Hour)
	early := r.Renew(t.Context(), entry(acme))
	want(t, "before the in-flight bound", early.Result, renewal.ResultWaiting)
	w.age(acme, time.Hour)
	w.visitUntil(r, entry(acme), func(o renewal.Outcome) bool { return o.Result == renewal.ResultRenewed })
	want(t, "probes", r.events.count(renewal.EventProbe), 1)
	w.serves(acme)
}

// TestProbeThatSpendsNothingProvesNothing: the provider throttles the probe, which
// says nothing of the presentation before it.
func TestProbeThatSpendsNothingProvesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	w.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadGateway})
	w.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusTooManyRequests})
	w.visitUntil(r, entry(acme), func(o renewal.Outcome) bool { return credential.KindOf(o.Err) == credential.KindRateLimited })
	want(t, "state", w.grant(acme).State, credential.GrantIntent)
	w.visitUntil(r, entry(acme), func(o renewal.Outcome) bool { return o.Result == renewal.ResultRenewed })
	want(t, "probes", r.events.count(renewal.EventProbe), 2)
	w.serves(acme)
}

// TestRefusedWhileAPersonAuthorizes: the new seed is stored while the old token is
// being refused. Nobody is asked for what has just been done.
func TestRefusedWhileAPersonAuthorizes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	if err := w.sims.Checkfront.RevokeGrant(app.ClientID); err != nil {
		t.Fatal(err)
	}
	var stored atomic.Bool
	w.store.on(func(at string) error {
		if at == "after grant.write" && stored.CompareAndSwap(false, true) {
			seed, err := w.sims.Checkfront.Authorize(app.ClientID)
			if err != nil {
				t.Error(err)
			}
			w.putSeed(acme, app, seed)
		}
		return nil
	})
	out := r.Renew(t.Context(), entry(acme))
	want(t, "result", out.Result, renewal.ResultWaiting)
	want(t, "status", w.token(acme).Status, "")
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
	w.serves(acme)
}

// TestPublishedGenerationNeverGoesBack: what is published is ahead of the grant,
// as after a part of Vault was restored.
func TestPublishedGenerationNeverGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	out := r.Renew(t.Context(), entry(acme))
	tok := w.store.tokens[acme]
	tok.Generation = 9
	w.store.tokens[acme] = tok
	rest := r.Renew(t.Context(), credential.Entry{ID: acme, Memo: out.Memo})
	want(t, "result", rest.Result, renewal.ResultUnchanged)
	want(t, "generation", w.token(acme).Generation, 9)
	want(t, "result", r.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
	want(t, "generation", w.token(acme).Generation, 10)
	w.serves(acme)
}

func TestLostAnswerAsksAPersonAndHeals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	w.sims.Checkfront.Inject(providersim.Fault{Times: 1, LoseAnswer: true})
	w.visitUntil(r, entry(acme), func(renewal.Outcome) bool { return w.grant(acme).State == credential.GrantDead })
	want(t, "status", w.token(acme).Status, credential.StatusNeedsAuthorization)
	want(t, "losses", r.events.count(renewal.EventAnswerLost), 1)
	if !strings.Contains(w.token(acme).Message, "authorize") {
		t.Errorf("message %q does not say what to do", w.token(acme).Message)
	}

	seed, err := w.sims.Checkfront.Authorize(app.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	w.putSeed(acme, app, seed)
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
	w.serves(acme)

	w.putSeed(acme, app, app.RefreshToken) // an older copy is put back
	want(t, "old seed", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultUnchanged)
	w.serves(acme)
}

func TestRefusedBeforeExpiryIsProbedAfterIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	r.Renew(t.Context(), entry(acme))
	if err := w.sims.Checkfront.RevokeGrant(app.ClientID); err != nil {
		t.Fatal(err)
	}
	out := r.Renew(t.Context(), forced(acme))
	want(t, "kind", credential.KindOf(out.Err), credential.KindRejected)
	g := w.grant(acme)
	want(t, "state", g.State, credential.GrantIntent)
	// The provider may have counted the life from as late as the end of the call.
	want(t, "probe not before", g.Intent.NotBefore, g.ExpiresAt.Add(limits().RotationTimeout))
	want(t, "status", w.token(acme).Status, credential.StatusRetrying)
	if out.Due.Before(g.ExpiresAt) {
		t.Errorf("due %s, before the access token's expiry %s", out.Due, g.ExpiresAt)
	}
}

func TestAnswerWithoutRefreshTokenKeepsThePresentedOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	w.sims.Checkfront.Inject(providersim.Fault{Times: 1, NoRotation: true})
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
	want(t, "refresh token", w.grant(acme).RefreshToken.Reveal(), app.RefreshToken)
	want(t, "warnings", r.events.count(renewal.EventWarning), 1)
	want(t, "again", r.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
	w.serves(acme)
}

// TestSentMarkThatOutlivedItsReason: the provider did not replace the token, and
// Redis was away when that was to be noted. The grant is not given up for it.
func TestSentMarkThatOutlivedItsReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	w.sims.Checkfront.Inject(providersim.Fault{Times: 1, NoRotation: true})
	r.Renew(t.Context(), entry(acme))
	w.copies.mu.Lock()
	for hash := range w.copies.marks {
		w.copies.marks[hash] = "sent"
	}
	w.copies.mu.Unlock()
	w.visitUntil(r, forced(acme), func(o renewal.Outcome) bool { return o.Result == renewal.ResultRenewed })
	want(t, "state", w.grant(acme).State, credential.GrantIdle)
	w.serves(acme)
}

// TestStaleSeedWithoutRedis: whether a seed is one of our own cannot be known, so
// the living grant stays.
func TestStaleSeedWithoutRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	first := w.replica(t.TempDir())
	first.Renew(t.Context(), entry(acme))
	old := w.grant(acme).RefreshToken.Reveal()
	first.Renew(t.Context(), forced(acme))
	living := w.grant(acme).RefreshToken
	w.putSeed(acme, app, old)
	second := w.replica(t.TempDir()) // its own spool knows nothing
	w.copies.setDown(errLost)
	want(t, "result", second.Renew(t.Context(), entry(acme)).Result, renewal.ResultUnchanged)
	want(t, "grant kept", w.grant(acme).RefreshToken == living, true)
	w.copies.setDown(nil)
	second.Renew(t.Context(), entry(acme))
	want(t, "seen", len(w.grant(acme).Seeds), 2)
	w.serves(acme)
}

func TestOneGrantUnderTwoNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	r.Renew(t.Context(), entry(acme))
	other := credential.ID{Tenant: "other", Name: "copy"}
	w.putSeed(other, app, app.RefreshToken)
	out := r.Renew(t.Context(), entry(other))
	want(t, "code", credential.CodeOf(out.Err), "already_spent")
	w.visitUntil(r, entry(other), func(renewal.Outcome) bool { return w.token(other).Status == credential.StatusNeedsAuthorization })
	want(t, "losses", r.events.count(renewal.EventAnswerLost), 0)
	w.serves(acme)
	noReuse(t, w)
}

// TestForcedOnceIsOnce: the tokens cannot be written, but grants can. A request
// to renew now is not repeated for it.
func TestForcedOnceIsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	w.store.on(func(at string) error {
		if at == "before token.write" {
			return errLost
		}
		return nil
	})
	e := forced(acme)
	for range 5 {
		e.Memo = r.Renew(t.Context(), e).Memo
	}
	want(t, "rotations", w.sims.Checkfront.Ledger().Calls(), 1)
	w.store.on(func(string) error { return nil })
	r.Renew(t.Context(), e)
	w.serves(acme)
}

// TestRemovedMeanwhileStaysRemoved: the credential is deleted while its provider
// is being asked.
func TestRemovedMeanwhileStaysRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	r.Renew(t.Context(), entry(acme))
	var removed atomic.Bool
	w.store.on(func(at string) error {
		if at == "after grant.write" && removed.CompareAndSwap(false, true) {
			r.Removed(t.Context(), entry(acme))
		}
		return nil
	})
	r.Renew(t.Context(), forced(acme))
	want(t, "status", w.token(acme).Status, credential.StatusRemoved)
	want(t, "serves", w.token(acme).Serves(), false)
}

func TestDormantGrantThatIsNotReplacedIsNotDueForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.sims.Checkfront.AddApp(providersim.AppSpec{})
	w.put(acme, map[string]any{
		"provider": "checkfront", "base_url": w.servers.URL("checkfront"), "client_id": app.ClientID,
		"client_secret": app.ClientSecret, "refresh_token": app.RefreshToken, "keep": "grant",
		"refresh_token_issued_at": time.Now().Add(-11 * 24 * time.Hour).UTC().Format(time.RFC3339),
	})
	w.sims.Checkfront.Inject(providersim.Fault{Times: 1, NoRotation: true})
	r := w.replica(t.TempDir())
	if out := r.Renew(t.Context(), entry(acme)); time.Until(out.Due) < time.Hour {
		t.Errorf("due again in %s", time.Until(out.Due))
	}
}

func TestDormantGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.sims.Checkfront.AddApp(providersim.AppSpec{})
	w.put(acme, map[string]any{
		"provider": "checkfront", "base_url": w.servers.URL("checkfront"), "client_id": app.ClientID,
		"client_secret": app.ClientSecret, "refresh_token": app.RefreshToken, "keep": "grant",
	})
	r := w.replica(t.TempDir())
	out := r.Renew(t.Context(), entry(acme))
	days := time.Until(out.Due).Hours() / 24
	if days < 9.7 || days > 10.3 {
		t.Errorf("next rotation in %.1f days, want 10", days)
	}
	want(t, "dormant", out.Memo.Dormant, true)
	want(t, "dormant, at rest", r.Renew(t.Context(), credential.Entry{ID: acme, Due: out.Due, Memo: out.Memo}).Memo.Dormant, true)
	w.put(acme, map[string]any{
		"provider": "checkfront", "base_url": w.servers.URL("checkfront"), "client_id": app.ClientID,
		"client_secret": app.ClientSecret, "refresh_token": app.RefreshToken, "keep": "access",
	})
	want(t, "dormant, once its token is wanted", r.Renew(t.Context(), credential.Entry{ID: acme, Due: out.Due, Memo: out.Memo}).Memo.Dormant, false)
}
