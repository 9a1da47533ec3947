package renewal_test

import (
	"net/http"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
	"refresher/refreshers/checkfront"
)

// ends is when the grant in Vault ends.
func (w *world) ends(id credential.ID) time.Time {
	return w.grant(id).RefreshTokenIssuedAt.Add(checkfront.DefaultSettings().GrantLifetime)
}

// TestFirstAnswerUnknown: the queue knows when a new grant ends, although nothing was heard
// of its first rotation. The next visit may be long in coming.
func TestFirstAnswerUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	w.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadGateway})
	out := w.replica(t.TempDir()).Renew(t.Context(), entry(acme))
	want(t, "state", w.grant(acme).State, credential.GrantIntent)
	want(t, "the grant's end", out.Memo.GrantExpiresAt, w.ends(acme))
	want(t, "open since", out.Memo.IntentSince, w.grant(acme).Intent.BeganAt)
}

// TestDeathIsOvertaken: a replica has written a grant off and stands still. A person authorizes
// meanwhile, and another replica renews. What the first knew does not become the queue's word.
func TestDeathIsOvertaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	first, second := w.replica(t.TempDir()), w.replica(t.TempDir())
	if err := w.sims.Checkfront.RevokeGrant(app.ClientID); err != nil {
		t.Fatal(err)
	}
	w.store.on(func(at string) error {
		if at != "after grant.write" || w.grant(acme).State != credential.GrantDead {
			return nil
		}
		seed, err := w.sims.Checkfront.Authorize(app.ClientID)
		if err != nil {
			t.Error(err)
		}
		w.putSeed(acme, app, seed)
		want(t, "meanwhile", second.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
		return nil
	})
	out := first.Renew(t.Context(), entry(acme))
	want(t, "status", w.token(acme).Status, credential.StatusActive)
	want(t, "the grant's end", out.Memo.GrantExpiresAt, w.ends(acme))
	want(t, "is looked at again at once", out.Due.After(time.Now()), false)
}
