package renewal_test

import (
	"sync/atomic"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/renewal"
)

// TestCopyOfTheLivingTokenDuringARotation: the copy is seen by another replica
// while the answer is under way, and must not make it look overtaken.
func TestCopyOfTheLivingTokenDuringARotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	first, second := w.replica(t.TempDir()), w.replica(t.TempDir())
	first.Renew(t.Context(), entry(acme))
	copied := w.grant(acme).RefreshToken.Reveal()
	var once atomic.Bool
	w.store.on(func(at string) error {
		if at == "after grant.write" && once.CompareAndSwap(false, true) { // the intent's
			w.putSeed(acme, app, copied)
			want(t, "second", second.Renew(t.Context(), entry(acme)).Result, renewal.ResultWaiting) // the lease was lost early
		}
		return nil
	})
	want(t, "result", first.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
	want(t, "set aside", first.events.count(renewal.EventSetAside), 0)
	w.serves(acme)
	noReuse(t, w)
}

// TestFormerTokenAfterAFlush: the spent list is gone, and a token that this
// service itself has rotated away is stored again.
func TestFormerTokenAfterAFlush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	first, second := w.replica(t.TempDir()), w.replica(t.TempDir())
	first.Renew(t.Context(), entry(acme))
	old := w.grant(acme).RefreshToken.Reveal()
	first.Renew(t.Context(), forced(acme))
	living := w.grant(acme).RefreshToken
	clear(w.copies.marks) // Redis is flushed
	w.putSeed(acme, app, old)
	second.Renew(t.Context(), entry(acme))
	want(t, "grant kept", w.grant(acme).RefreshToken == living, true)
	noReuse(t, w)
}

// TestCopyOfADeadToken is no new authorization: a late answer can still bring the
// grant back, and must fit the document then.
func TestCopyOfADeadToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	r.Renew(t.Context(), entry(acme))
	dead := w.grant(acme)
	dead.State = credential.GrantDead
	w.store.grants[acme] = dead
	w.putSeed(acme, app, dead.RefreshToken.Reveal())
	r.Renew(t.Context(), forced(acme))
	kept := w.grant(acme)
	want(t, "state", kept.State, credential.GrantDead)
	want(t, "the authorization that it belongs to", kept.Seeds[len(kept.Seeds)-1], dead.Seeds[len(dead.Seeds)-1])
	want(t, "rotations", w.sims.Checkfront.Ledger().Calls(), 1)

	seed, err := w.sims.Checkfront.Authorize(app.ClientID)
	want(t, "error", err, nil)
	w.putSeed(acme, app, seed)
	r.Renew(t.Context(), forced(acme))
	want(t, "state after a new authorization", w.grant(acme).State, credential.GrantIdle)
	w.serves(acme)
}
