package renewal_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
)

var brig = credential.ID{Tenant: "brig", Name: "shop"}

// elapse lets a share of the token's life pass, as far as Vault's documents say.
func (w *world) elapse(id credential.ID, share float64) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	g, t := w.store.grants[id], w.store.tokens[id]
	by := -time.Duration(float64(t.ExpiresAt.Sub(t.IssuedAt)) * share)
	g.IssuedAt, g.ExpiresAt = g.IssuedAt.Add(by), g.ExpiresAt.Add(by)
	t.IssuedAt, t.ExpiresAt, t.RenewAt = t.IssuedAt.Add(by), t.ExpiresAt.Add(by), t.RenewAt.Add(by)
	w.store.grants[id], w.store.tokens[id] = g, t
}

// requests returns how many requests to Vault work makes, and how many of them write a token.
func (w *world) requests(work func()) (all, published int) {
	count := func() (all, published int) {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		for _, n := range w.store.ops {
			all += n
		}
		return all, w.store.ops["token.write"]
	}
	before, publishedBefore := count()
	work()
	after, publishedAfter := count()
	return after - before, publishedAfter - publishedBefore
}

// deleteKeys takes the escrow keys away, and returns what brings them back.
func (w *world) deleteKeys() (undelete func()) {
	set := func(deleted bool) {
		w.keys.mu.Lock()
		defer w.keys.mu.Unlock()
		w.keys.deleted = deleted
	}
	set(true)
	return func() { set(false) }
}

// otherVersion makes the copies of answers such as a later version would make them.
func (w *world) otherVersion() (back func()) {
	change := func(from, to string) {
		w.copies.mu.Lock()
		defer w.copies.mu.Unlock()
		for ref, sealed := range w.copies.data {
			w.copies.data[ref] = bytes.Replace(sealed, []byte(from), []byte(to), 1)
		}
	}
	change(`"v":1`, `"v":9`)
	return func() { change(`"v":9`, `"v":1`) }
}

// badDay is one on which Vault can be read and written, and something else is out of order.
type badDay struct {
	// diesAt is where a replica dies first, in the renewal that is to be gone on with.
	diesAt string
	nth    int
	brk    func(t *testing.T, w *world, spool string) (mend func())
	noRoom bool
	code   string
	says   []string
}

func badDays() map[string]badDay {
	noSpool := func(t *testing.T, _ *world, spool string) func() {
		t.Helper()
		brk, mend := breakSpool(t, spool)
		brk()
		return mend
	}
	noKey := func(_ *testing.T, w *world, _ string) func() { return w.deleteKeys() }
	noRedis := func(_ *testing.T, w *world, _ string) func() {
		w.copies.setDown(errors.New("dial tcp: connection refused"))
		return func() { w.copies.setDown(nil) }
	}
	other := func(_ *testing.T, w *world, _ string) func() { return w.otherVersion() }
	return map[string]badDay{
		"the spool cannot be written":              {"", 0, noSpool, true, "spool", []string{"spool", "written", "RefresherNoRoom"}},
		"the escrow key is gone":                   {"", 0, noKey, true, "escrow_key", []string{"escrow key", "missing", "undelete"}},
		"the escrow key is gone before a commit":   {"before grant.write", 2, noKey, false, "escrow_key", []string{"escrow key", "missing", "undelete"}},
		"Redis cannot be read":                     {"after grant.write", 1, noRedis, false, "redis", []string{"Redis", "cannot be read", "RefresherRedisUnreachable"}},
		"the answer was sealed by a later version": {"before grant.write", 2, other, false, "other_version", []string{"version", "update"}},
	}
}

// TestBadDay: a renewal that cannot begin or go on for want of something else than Vault is told to
// readers and to people, once; it costs nobody else anything, and heals by itself.
func TestBadDay(t *testing.T) {
	t.Parallel()
	for name, day := range badDays() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.checkfrontApp(acme)
			w.kiboClient(brig)
			want(t, "result", w.replica(t.TempDir()).Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
			w.elapse(acme, .8)
			if day.diesAt != "" {
				w.crash(t.TempDir(), day.diesAt, day.nth)
			}
			spool := t.TempDir()
			r := w.replica(spool)
			mend := day.brk(t, w, spool)

			day.told(t, w, r, credential.StatusRetrying)
			want(t, "serves", w.token(acme).Serves(), true)
			want(t, "result of another tenant's", r.Renew(t.Context(), entry(brig)).Result, renewal.ResultRenewed)
			w.serves(brig)
			w.elapse(acme, .8)
			day.told(t, w, r, credential.StatusExpired)
			want(t, "another tenant's generation", w.token(brig).Generation, 1)

			mend()
			w.visitUntil(r, entry(acme), func(renewal.Outcome) bool { return w.token(acme).Status == credential.StatusActive })
			want(t, "message", w.token(acme).Message, "")
			w.serves(acme)
			want(t, "losses", r.events.count(renewal.EventAnswerLost), 0)
			noReuse(t, w)
		})
	}
}

// told wants a visit to publish what is wrong, and the next ones to leave it at that.
func (d badDay) told(t *testing.T, w *world, r *replica, status credential.Status) {
	t.Helper()
	var out renewal.Outcome
	visit := func() { out = r.Renew(t.Context(), entry(acme)) }
	generation, noRoom := w.token(acme).Generation, r.events.count(renewal.EventNoRoom)
	first, published := w.requests(visit)
	tok := w.token(acme)
	want(t, "result", out.Result, renewal.ResultFailed)
	want(t, "code", credential.CodeOf(out.Err), d.code)
	want(t, "status", tok.Status, status)
	want(t, "status in the queue", out.Memo.Status, status)
	want(t, "generation", tok.Generation, generation)
	for _, word := range d.says {
		if !strings.Contains(tok.Message, word) {
			t.Errorf("message %q does not say %q", tok.Message, word)
		}
	}
	want(t, "publications", published, 1)
	again, published := w.requests(visit)
	want(t, "publications at the next visit", published, 0)
	want(t, "requests that the status took", first-again, 2) // to read the token once more, and to write it
	want(t, "requests of a visit", again, 3)                 // credential, token, grant
	if d.noRoom {
		want(t, "events", r.events.count(renewal.EventNoRoom)-noRoom, 2)
	}
	if due := time.Until(out.Due); due > time.Second {
		t.Errorf("tried again in %s", due)
	}
}

// TestBadDayOfNewcomer: whoever waits for a first token learns why there is none.
func TestBadDayOfNewcomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	dir := t.TempDir()
	r := w.replica(dir)
	brk, mend := breakSpool(t, dir)
	brk()
	for range 2 {
		want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultFailed)
		want(t, "status", w.token(acme).Status, credential.StatusPending)
	}
	want(t, "says so", strings.Contains(w.token(acme).Message, "spool"), true)
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 0)
	mend()
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
	w.serves(acme)
}

// dueIn prepares a token of acme's that is due, with a status of its own, and a spool that takes nothing.
func (w *world) dueIn(status credential.Status, message string) *replica {
	w.t.Helper()
	w.checkfrontApp(acme)
	w.replica(w.t.TempDir()).Renew(w.t.Context(), entry(acme))
	w.elapse(acme, .8)
	w.publishes(status, message)
	dir := w.t.TempDir()
	r := w.replica(dir)
	brk, _ := breakSpool(w.t, dir)
	brk()
	return r
}

// publishes puts a status where another worker would.
func (w *world) publishes(status credential.Status, message string) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	tok := w.store.tokens[acme]
	tok.Status, tok.Message = status, message
	w.store.tokens[acme] = tok
	w.store.ver["t"+acme.String()]++
}

// TestBadDayLeavesWhatAPersonIsAskedFor: what waits for a person goes on saying what for.
func TestBadDayLeavesWhatAPersonIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, status := range []credential.Status{credential.StatusNeedsAuthorization, credential.StatusMisconfigured} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.dueIn(status, "do this")
			_, published := w.requests(func() { r.Renew(t.Context(), entry(acme)) })
			want(t, "publications", published, 0)
			want(t, "status", w.token(acme).Status, status)
		})
		t.Run(string(status)+", published meanwhile", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.dueIn(credential.StatusActive, "")
			reads := 0
			w.store.on(func(at string) error {
				if at == "before token.read" {
					if reads++; reads == 2 {
						w.publishes(status, "do this")
					}
				}
				return nil
			})
			out := r.Renew(t.Context(), entry(acme))
			want(t, "reads", reads, 2)
			want(t, "status", w.token(acme).Status, status)
			want(t, "message", w.token(acme).Message, "do this")
			want(t, "status in the queue", out.Memo.Status, status)
		})
	}
}

// TestBadDayOfAPausedCredential: an answer to its last renewal may be kept where nobody can look.
// It is paused all the same, and says so.
func TestBadDayOfAPausedCredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	w.replica(t.TempDir()).Renew(t.Context(), entry(acme))
	w.elapse(acme, .8)
	w.crash(t.TempDir(), "after grant.write", 1)
	w.put(acme, map[string]any{
		"provider": "checkfront", "base_url": w.servers.URL("checkfront"), "client_id": app.ClientID,
		"client_secret": app.ClientSecret, "refresh_token": app.RefreshToken, "paused": "true",
	})
	w.copies.setDown(errLost)
	r := w.replica(t.TempDir())
	for range 2 {
		want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultFailed)
		want(t, "status", w.token(acme).Status, credential.StatusPaused)
		want(t, "says how to resume", strings.Contains(w.token(acme).Message, "resume"), true)
	}
}

// TestNewAuthorizationOnABadDay: the person has done what was asked for, and is told what it is
// that keeps their authorization from being used.
func TestNewAuthorizationOnABadDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	dir := t.TempDir()
	r := w.replica(dir)
	w.sims.Checkfront.Inject(providersim.Fault{Times: 1, LoseAnswer: true})
	w.visitUntil(r, entry(acme), func(renewal.Outcome) bool { return w.token(acme).Status == credential.StatusNeedsAuthorization })
	seed, err := w.sims.Checkfront.Authorize(app.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	w.putSeed(acme, app, seed)
	brk, mend := breakSpool(t, dir)
	brk()
	// The queue has lost what it knew, so that nobody can tell that there was an edit.
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultFailed)
	want(t, "status", w.token(acme).Status, credential.StatusPending)
	want(t, "says so", strings.Contains(w.token(acme).Message, "spool"), true)
	mend()
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
	w.serves(acme)
}

// TestMessageOfABadDayGoesWithIt: what is published next is what is wrong then.
func TestMessageOfABadDayGoesWithIt(t *testing.T) {
	t.Parallel()
	t.Run("the provider fails", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.checkfrontApp(acme)
		dir := t.TempDir()
		r := w.replica(dir)
		r.Renew(t.Context(), entry(acme))
		brk, mend := breakSpool(t, dir)
		brk()
		r.Renew(t.Context(), forced(acme))
		want(t, "names the spool", strings.Contains(w.token(acme).Message, "spool"), true)
		mend()
		w.sims.Checkfront.Inject(providersim.Fault{Times: 2, Status: http.StatusTooManyRequests})
		r.Renew(t.Context(), forced(acme))
		want(t, "status", w.token(acme).Status, credential.StatusRetrying)
		want(t, "names the spool", strings.Contains(w.token(acme).Message, "spool"), false)
		_, published := w.requests(func() { r.Renew(t.Context(), forced(acme)) })
		want(t, "publications of one more failure", published, 0)
		brk()
		r.Renew(t.Context(), forced(acme))
		want(t, "names the spool again", strings.Contains(w.token(acme).Message, "spool"), true)
	})
	t.Run("an open intent is waited for", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.checkfrontApp(acme)
		w.replica(t.TempDir()).Renew(t.Context(), entry(acme))
		w.elapse(acme, .8)
		w.crash(t.TempDir(), "after grant.write", 1)
		r := w.replica(t.TempDir())
		w.copies.setDown(errLost)
		r.Renew(t.Context(), entry(acme))
		want(t, "names Redis", strings.Contains(w.token(acme).Message, "Redis"), true)
		w.copies.setDown(nil)
		want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultWaiting)
		want(t, "status", w.token(acme).Status, credential.StatusRetrying)
		want(t, "names Redis", strings.Contains(w.token(acme).Message, "Redis"), false)
		_, published := w.requests(func() { r.Renew(t.Context(), entry(acme)) })
		want(t, "publications of the next wait", published, 0)
	})
}

// TestSpentListCannotBeWritten: the token does not go out, and it is not the provider's fault.
func TestSpentListCannotBeWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	dir := t.TempDir()
	r := w.replica(dir)
	if err := r.escrow.Close(); err != nil { // with it the file is closed that is written at the gate
		t.Fatal(err)
	}
	var out renewal.Outcome
	_, published := w.requests(func() { out = r.Renew(t.Context(), entry(acme)) })
	want(t, "result", out.Result, renewal.ResultFailed)
	want(t, "code", credential.CodeOf(out.Err), "spool")
	want(t, "publications", published, 1)
	want(t, "says so", strings.Contains(w.token(acme).Message, "spool"), true)
	want(t, "names a file", strings.Contains(w.token(acme).Message, dir), false)
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 0)
	again := w.replica(dir)
	w.visitUntil(again, entry(acme), func(o renewal.Outcome) bool { return o.Result == renewal.ResultRenewed })
	w.serves(acme)
}

// TestStopIsNoBadDay: what a stop cuts short is not published as anybody's trouble.
func TestStopIsNoBadDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	w.replica(t.TempDir()).Renew(t.Context(), entry(acme))
	w.elapse(acme, .8)
	w.crash(t.TempDir(), "after grant.write", 1)
	r := w.replica(t.TempDir())
	w.copies.setDown(context.Canceled)
	ctx, stop := context.WithCancel(t.Context())
	w.store.on(func(at string) error {
		if at == "after grant.read" {
			defer stop()
		}
		return nil
	})
	want(t, "result", r.Renew(ctx, entry(acme)).Result, renewal.ResultFailed)
	want(t, "status", w.token(acme).Status, credential.StatusActive)
}
