package renewal_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
)

// TestAnswerOfAForgottenIntent: an answer waits in the spool, and Vault was restored from
// before its intent. It is brought home by whatever comes first, a visit or the drain; the
// token is not presented again, and the grant not given up.
func TestAnswerOfAForgottenIntent(t *testing.T) {
	t.Parallel()
	for name, rotated := range map[string]bool{"of a seed": false, "of a grant": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.checkfrontApp(acme)
			dir := t.TempDir()
			if rotated {
				w.replica(t.TempDir()).Renew(t.Context(), entry(acme))
				w.store.mu.Lock()
				g := w.store.grants[acme]
				g.IssuedAt, g.ExpiresAt = g.IssuedAt.Add(-24*time.Hour), g.ExpiresAt.Add(-24*time.Hour)
				w.store.grants[acme] = g
				w.store.mu.Unlock()
			}
			before := w.grant(acme)
			w.crash(dir, "before grant.write", 2)
			want(t, "state", w.grant(acme).State, credential.GrantIntent)
			w.store.grants[acme] = before
			r := w.replica(dir)
			want(t, "waiting", len(r.escrow.Waiting()), 1)
			want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultRecovered)
			want(t, "generation", w.grant(acme).Generation, before.Generation+1)
			want(t, "waiting", len(r.escrow.Waiting()), 0)
			w.serves(acme)
			noReuse(t, w)
		})
	}
}

// TestAnswerInAnUnknownForm: the provider has rotated the token and says so in a form that
// nobody here can read. The answer is kept for whoever can; a page for a browser is not.
func TestAnswerInAnUnknownForm(t *testing.T) {
	t.Parallel()
	for body, kept := range map[providersim.Body]int{providersim.BodyGarbage: 1, providersim.BodyHTML: 0, providersim.BodyEmpty: 0} {
		t.Run(string(body), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.checkfrontApp(acme)
			dir := t.TempDir()
			r := w.replica(dir)
			w.sims.Checkfront.Inject(providersim.Fault{Times: 1, Body: body, AfterEffect: true})
			r.Renew(t.Context(), entry(acme))
			want(t, "state", w.grant(acme).State, credential.GrantIntent)
			want(t, "set aside", r.events.count(renewal.EventSetAside), kept)
			aside, err := os.ReadDir(filepath.Join(dir, "aside"))
			if err != nil {
				t.Fatal(err)
			}
			want(t, "files aside", len(aside), kept)
			want(t, "waiting", len(r.escrow.Waiting()), 0)
			want(t, "copies", len(w.copies.data), 0)
		})
	}
}

// TestCopyIsMadeAgain: Redis has lost its copy while Vault was away, and the owner comes back
// for a moment only. That is enough for another replica to have the answer.
func TestCopyIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	dir := t.TempDir()
	w.crash(dir, "before grant.write", 2)
	clear(w.copies.data)
	w.store.on(func(string) error { return errors.New("vault is away") })
	owner := w.replica(dir)
	want(t, "drained", len(owner.Drain(t.Context())), 0)
	w.store.on(func(string) error { return nil })
	want(t, "result", w.replica(t.TempDir()).Renew(t.Context(), entry(acme)).Result, renewal.ResultRecovered)
	want(t, "copies", len(w.copies.data), 0)
	w.serves(acme)
	noReuse(t, w)
}
