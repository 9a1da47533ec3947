package renewal_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
)

// dieAt ends the visiting goroutine at the nth occurrence of when, as a crash
// would: nothing of the protocol's own runs after it.
func dieAt(when string, n int) func(string) error {
	seen := 0
	return func(at string) error {
		if at == when {
			if seen++; seen == n {
				runtime.Goexit()
			}
		}
		return nil
	}
}

// crash lets a replica on dir visit acme and die there, and frees the spool.
func (w *world) crash(dir, when string, n int) {
	w.t.Helper()
	r, err := w.open(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.store.on(dieAt(when, n))
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Renew(w.t.Context(), entry(acme))
	}()
	<-done
	w.store.on(func(string) error { return nil })
	_ = r.escrow.Close()
}

// age makes an open intent older than it is.
func (w *world) age(id credential.ID, by time.Duration) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	intent := w.store.grants[id].Intent
	intent.BeganAt = intent.BeganAt.Add(-by)
}

// TestCrash: the process dies before or after any effect in Vault; the next one,
// on the same spool or on another, finishes the work, and nothing is lost or
// presented without need.
func TestCrash(t *testing.T) {
	t.Parallel()
	points := []struct {
		when string
		n    int
	}{
		{"before grant.write", 1}, {"after grant.write", 1}, // the intent
		{"before grant.write", 2}, {"after grant.write", 2}, // the commit
		{"before token.write", 1}, {"after token.write", 1},
	}
	for _, p := range points {
		for _, same := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s %d same spool %v", p.when, p.n, same), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.checkfrontApp(acme)
				dir := t.TempDir()
				w.crash(dir, p.when, p.n)
				if !same {
					dir = t.TempDir()
				}
				r := w.replica(dir)
				w.visitUntil(r, entry(acme), func(renewal.Outcome) bool { return w.token(acme).Status == credential.StatusActive })
				w.serves(acme)
				want(t, "losses", r.events.count(renewal.EventAnswerLost), 0)
				want(t, "rotations", w.sims.Checkfront.Ledger().Count(providersim.Match{Endpoint: providersim.EndpointToken, Result: providersim.ResultOK}), 1)
				noReuse(t, w)
			})
		}
	}
}

// TestDrain: a process that starts on the spool of one that died commits what it
// finds there by itself, without a visit and without Redis.
func TestDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	dir := t.TempDir()
	w.crash(dir, "before grant.write", 2)
	w.copies.setDown(errors.New("redis is away"))
	r := w.replica(dir)
	want(t, "waiting", len(r.escrow.Waiting()), 1)
	want(t, "drained", len(r.Drain(t.Context())), 1)
	want(t, "waiting", len(r.escrow.Waiting()), 0)
	want(t, "state", w.grant(acme).State, credential.GrantIdle)
	w.serves(acme)
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 1)
}

// TestAnyReplicaCommitsFromRedis: the spool is gone with its machine.
func TestAnyReplicaCommitsFromRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	w.crash(t.TempDir(), "before grant.write", 2)
	r := w.replica(t.TempDir())
	out := r.Renew(t.Context(), entry(acme))
	want(t, "result", out.Result, renewal.ResultRecovered)
	w.serves(acme)
	want(t, "copies", len(w.copies.data), 0)
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 1)
}

// TestOthersIntentIsLeftAlone until the takeover time, and while Redis cannot be read.
func TestOthersIntentIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	w.crash(t.TempDir(), "after grant.write", 1) // the intent is open, nothing was sent
	r := w.replica(t.TempDir())
	w.age(acme, -time.Hour)
	want(t, "before the takeover time", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultWaiting)
	w.copies.setDown(errors.New("redis is away"))
	w.age(acme, 2*time.Hour)
	want(t, "without Redis", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultFailed)
	w.copies.setDown(nil)
	w.visitUntil(r, entry(acme), func(o renewal.Outcome) bool { return o.Result == renewal.ResultRenewed })
	want(t, "takeovers", r.events.count(renewal.EventTakeover), 1)
	want(t, "probes", r.events.count(renewal.EventProbe), 1)
	w.serves(acme)
	noReuse(t, w)
}

// TestLateOwnerBeatsTheClaim: the owner comes back while another waits with its
// claim, and its answer is what counts.
func TestLateOwnerBeatsTheClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	dir := t.TempDir()
	w.copies.setDown(errors.New("redis is away")) // the answer is in the spool alone
	w.crash(dir, "before grant.write", 2)
	w.copies.setDown(nil)
	other := w.replica(t.TempDir())
	w.visitUntil(other, entry(acme), func(renewal.Outcome) bool { return other.events.count(renewal.EventTakeover) == 1 })
	owner := w.replica(dir)
	want(t, "drained", len(owner.Drain(t.Context())), 1)
	want(t, "state", w.grant(acme).State, credential.GrantIdle)
	w.serves(acme)
	want(t, "the other finds nothing to do", other.Renew(t.Context(), entry(acme)).Result, renewal.ResultUnchanged)
	noReuse(t, w)
}

// TestNewSeedOvertakesAnOpenIntent: a person authorizes again while an answer is
// on its way; theirs counts, ours is set aside and not lost.
func TestNewSeedOvertakesAnOpenIntent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	dir := t.TempDir()
	w.crash(dir, "before grant.write", 2)
	seed, err := w.sims.Checkfront.Authorize(app.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	w.putSeed(acme, app, seed)
	r := w.replica(dir)
	out := r.Renew(t.Context(), entry(acme))
	want(t, "result", out.Result, renewal.ResultRenewed)
	r.Drain(t.Context())
	want(t, "set aside", r.events.count(renewal.EventSetAside), 1)
	aside, err := os.ReadDir(filepath.Join(dir, "aside"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "files aside", len(aside), 1)
	want(t, "waiting", len(r.escrow.Waiting()), 0)
	w.serves(acme)
}

// TestNewSeedOvertakesACommit: another worker adopts a new authorization while our
// answer is on its way. Theirs stands, and ours is set aside.
func TestNewSeedOvertakesACommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ours := credential.Secret(w.checkfrontApp(acme).RefreshToken)
	dir := t.TempDir()
	r := w.replica(dir)
	theirs := credential.Grant{State: credential.GrantIdle, RefreshToken: "sim-theirs", Seeds: []string{ours.Hash(), "b"}}
	w.store.on(func(at string) error {
		if at == "before grant.write" && w.sims.Checkfront.Ledger().Calls() > 0 {
			w.store.mu.Lock()
			defer w.store.mu.Unlock()
			w.store.grants[acme] = theirs
			w.store.ver["g"+acme.String()]++
		}
		return nil
	})
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultFailed)
	want(t, "grant", w.grant(acme).RefreshToken, theirs.RefreshToken)
	want(t, "set aside", r.events.count(renewal.EventSetAside), 1)
	want(t, "waiting", len(r.escrow.Waiting()), 0)
}

// TestDeadGrantHealsWhenAnAnswerAppears: nothing is final while a copy exists.
func TestDeadGrantHealsWhenAnAnswerAppears(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	dir := t.TempDir()
	w.copies.setDown(errors.New("redis is away"))
	w.crash(dir, "before grant.write", 2)
	w.copies.setDown(nil)
	dead := w.grant(acme)
	dead.State, dead.Intent = credential.GrantDead, nil
	if _, err := w.store.PutGrant(t.Context(), acme, dead, 1); err != nil {
		t.Fatal(err)
	}
	r := w.replica(dir)
	r.Drain(t.Context())
	want(t, "state", w.grant(acme).State, credential.GrantIdle)
	want(t, "status", w.token(acme).Status, credential.StatusActive)
	w.serves(acme)
}

// TestGrantDocumentIsGone: somebody deleted the document between a crash and the
// recovery. The sealed answer is the only copy, and makes the document anew.
func TestGrantDocumentIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	dir := t.TempDir()
	w.crash(dir, "before grant.write", 2)
	w.store.mu.Lock()
	delete(w.store.grants, acme)
	delete(w.store.ver, "g"+acme.String())
	w.store.mu.Unlock()
	r := w.replica(dir)
	r.Drain(t.Context())
	want(t, "refresh token", w.grant(acme).RefreshToken.Reveal(), w.sims.Checkfront.LivingRefreshToken(app.ClientID))
	w.serves(acme)
	// The seed, spent long ago, does not take the living grant's place.
	w.visitUntil(r, forced(acme), func(o renewal.Outcome) bool { return o.Result == renewal.ResultRenewed })
	w.serves(acme)
	noReuse(t, w)
}

// TestCredentialComesBack: it was deleted while an answer waited in the spool, as
// Terraform does when it replaces a resource.
func TestCredentialComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	dir := t.TempDir()
	w.crash(dir, "before grant.write", 2)
	c := w.store.creds[acme]
	delete(w.store.creds, acme)
	r := w.replica(dir)
	want(t, "drained", len(r.Drain(t.Context())), 0)
	want(t, "still waiting", len(r.escrow.Waiting()), 1)
	w.store.creds[acme] = c
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultRecovered)
	want(t, "refresh token", w.grant(acme).RefreshToken.Reveal(), w.sims.Checkfront.LivingRefreshToken(app.ClientID))
	w.serves(acme)
}

// TestCopiedTokenDoesNotReplaceTheGrant: a person stores a token that they found
// in grants/, the living one or an older one.
func TestCopiedTokenDoesNotReplaceTheGrant(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"living", "older"} {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			app := w.checkfrontApp(acme)
			r := w.replica(t.TempDir())
			r.Renew(t.Context(), entry(acme))
			copied := w.grant(acme).RefreshToken.Reveal()
			if which == "older" {
				r.Renew(t.Context(), forced(acme))
			}
			w.putSeed(acme, app, copied)
			want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultUnchanged)
			want(t, "result", r.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
			want(t, "result", r.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
			w.serves(acme)
			noReuse(t, w)
		})
	}
}

// TestClaimIsWatchedWithoutVisits: with several replicas a claimant may not get a
// visit for long; the drain, at every tick, watches for it.
func TestClaimIsWatchedWithoutVisits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	w.crash(t.TempDir(), "after grant.write", 1)
	w.age(acme, 2*time.Hour)
	r := w.replica(t.TempDir())
	want(t, "claim", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultWaiting)
	reads := w.store.ops["grant.read"]
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for w.store.ops["grant.read"] == reads {
		r.Drain(t.Context())
		select {
		case <-deadline.C:
			t.Fatal("the claim is not being watched")
		case <-time.After(10 * time.Millisecond):
		}
	}
	want(t, "attempts remembered of a claim that sent nothing", len(w.grant(acme).Intent.Earlier), 1)
}

// TestStopDuringTheIntent: told to stop while the intent is being written, the
// process sends nothing and closes it again.
func TestStopDuringTheIntent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	w.store.on(func(at string) error {
		if at == "before grant.write" {
			stop()
		}
		return nil
	})
	r.Renew(ctx, entry(acme))
	want(t, "state", w.grant(acme).State, credential.GrantIdle)
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 0)
}

// TestStopLeavesASealedAnswerToRecovery: Vault is away and the process is told to
// stop; a visit does not hold it up, on a fresh answer or a recovered one.
func TestStopLeavesASealedAnswerToRecovery(t *testing.T) {
	t.Parallel()
	for _, fresh := range []bool{true, false} {
		t.Run(fmt.Sprint("fresh ", fresh), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.checkfrontApp(acme)
			dir := t.TempDir()
			if !fresh {
				w.crash(dir, "before grant.write", 2)
			}
			r := w.replica(dir)
			ctx, stop := context.WithCancel(t.Context())
			w.store.on(func(at string) error {
				if at == "before grant.write" && w.sims.Checkfront.Ledger().Calls() > 0 {
					stop()
					return errLost
				}
				return nil
			})
			out := r.Renew(ctx, entry(acme))
			want(t, "result", out.Result, renewal.ResultFailed)
			want(t, "waiting", len(r.escrow.Waiting()), 1)
			w.store.on(func(string) error { return nil })
			r.Drain(t.Context())
			w.visitUntil(r, entry(acme), func(renewal.Outcome) bool { return w.token(acme).Status == credential.StatusActive })
			w.serves(acme)
			want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 1)
		})
	}
}

// TestCommitOutlastsAnOutage: Vault is away for a while after the answer came.
func TestCommitOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	failures := 0
	w.store.on(func(at string) error {
		if w.sims.Checkfront.Ledger().Calls() > 0 && failures < 8 && (at == "before grant.write" || at == "before grant.read") {
			failures++
			return errLost
		}
		return nil
	})
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
	want(t, "failures", failures, 8)
	w.serves(acme)
}

// TestAnswerCommittedByAnother: the copy in Redis was committed, and the grant rotated
// on, while its owner was away with the answer in its spool. That is nothing for a
// person, even if Redis has lost its memory since.
func TestAnswerCommittedByAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	dir := t.TempDir()
	w.crash(dir, "before grant.write", 2)
	other := w.replica(t.TempDir())
	want(t, "by the other", other.Renew(t.Context(), entry(acme)).Result, renewal.ResultRecovered)
	want(t, "and on", other.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
	clear(w.copies.marks)
	living := w.grant(acme).RefreshToken
	r := w.replica(dir)
	want(t, "waiting", len(r.escrow.Waiting()), 1)
	r.Drain(t.Context())
	want(t, "waiting after the drain", len(r.escrow.Waiting()), 0)
	want(t, "set aside", r.events.count(renewal.EventSetAside), 0)
	want(t, "grant kept", w.grant(acme).RefreshToken == living, true)
	w.serves(acme)
}

// TestPutOffProbeIsItsOwnersFirst: the probe of a token that was refused early is due, and
// another replica comes to it before its owner does. It leaves the owner an in-flight bound,
// and no more.
func TestPutOffProbeIsItsOwnersFirst(t *testing.T) {
	t.Parallel()
	for name, since := range map[string]time.Duration{"the owner comes": 0, "the owner stays away": limits().InFlightBound} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			app := w.sims.Checkfront.AddApp(providersim.AppSpec{})
			w.putSeed(acme, app, app.RefreshToken)
			owner, other := w.replica(t.TempDir()), w.replica(t.TempDir())
			owner.Renew(t.Context(), entry(acme))
			w.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadRequest, Error: "invalid_grant"})
			owner.Renew(t.Context(), forced(acme))
			want(t, "put off", w.grant(acme).Intent.NotBefore.IsZero(), false)
			w.putOff(acme, time.Now().Add(-since))
			out := other.Renew(t.Context(), entry(acme))
			want(t, "the other's result", out.Result, renewal.ResultWaiting)
			if since > 0 {
				want(t, "takeovers", other.events.count(renewal.EventTakeover), 1)
				w.visitUntil(other, entry(acme), func(o renewal.Outcome) bool { return o.Result == renewal.ResultRenewed })
				return
			}
			want(t, "takeovers", other.events.count(renewal.EventTakeover), 0)
			want(t, "the owner's result", owner.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
			w.serves(acme)
		})
	}
}

// putOff has the access token of a grant expire long ago, and the probe of its refused
// token come due at that time.
func (w *world) putOff(id credential.ID, notBefore time.Time) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	g, t := w.store.grants[id], w.store.tokens[id]
	g.Intent.BeganAt, g.Intent.NotBefore = notBefore.Add(-time.Hour), notBefore
	g.ExpiresAt, t.ExpiresAt = notBefore.Add(-time.Minute), notBefore.Add(-time.Minute)
	w.store.grants[id], w.store.tokens[id] = g, t
}
