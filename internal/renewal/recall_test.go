package renewal_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/renewal"
)

// TestRecall: what a queue that lost its memory is told of a grant.
func TestRecall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	w.crash(t.TempDir(), "after grant.write", 1) // the intent is open, nothing was sent
	r := w.replica(t.TempDir())
	known := credential.Memo{Provider: "checkfront", Auth: "oauth2", Status: credential.StatusActive}

	want(t, "rotating", r.Rotating(known), true)
	memo, err := r.Recall(t.Context(), acme, known)
	want(t, "error", err, nil)
	want(t, "the intent is known", memo.IntentSince.Equal(w.grant(acme).Intent.BeganAt), true)
	want(t, "the grant's end is known", memo.GrantExpiresAt.IsZero(), false)

	static := credential.Memo{Provider: "bookeo", Auth: "api_key", Status: credential.StatusActive}
	want(t, "rotating", r.Rotating(static), false)
	reads := w.store.ops["grant.read"]
	memo, err = r.Recall(t.Context(), acme, static)
	want(t, "error", err, nil)
	want(t, "memo", memo, static)
	want(t, "requests", w.store.ops["grant.read"]-reads, 0)

	away := errors.New("vault is away")
	w.store.on(func(string) error { return away })
	_, err = r.Recall(t.Context(), acme, known)
	want(t, "error", errors.Is(err, away), true)
}

// TestOpenIntentIsKnownWhileVaultIsAway: a visit that cannot read the grant does not
// make the queue forget the intent, or its alert would end for the wrong reason.
func TestOpenIntentIsKnownWhileVaultIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	w.crash(t.TempDir(), "after grant.write", 1)
	r := w.replica(t.TempDir())
	e := entry(acme)
	e.Memo.IntentSince = time.Now().Add(-time.Hour)
	e.Memo.GrantExpiresAt = time.Now().Add(time.Hour)
	for _, op := range []string{"credential.read", "token.read", "grant.read"} {
		w.store.on(func(at string) error {
			if strings.HasPrefix(at, "before "+op) {
				return errors.New("vault is away")
			}
			return nil
		})
		out := r.Renew(t.Context(), e)
		want(t, op, out.Result, renewal.ResultFailed)
		want(t, "the intent is known", out.Memo.IntentSince, e.Memo.IntentSince)
		want(t, "the grant's end is known", out.Memo.GrantExpiresAt, e.Memo.GrantExpiresAt)
	}
}
