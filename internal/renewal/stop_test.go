package renewal_test

import (
	"context"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
	"refresher/refreshers"
	"refresher/refreshers/checkfront"
)

// doer does what its function does.
type doer func(ctx context.Context, req *http.Request) (refreshers.Answer, error)

func (d doer) Do(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
	return d(ctx, req)
}

// onAnswer is a way to the providers on which something happens as an answer arrives.
type onAnswer struct {
	renewal.Provider
	then func()
}

func (p onAnswer) Once(sendBy time.Time, timeout time.Duration, gate func(context.Context) error) refreshers.Doer {
	once := p.Provider.Once(sendBy, timeout, gate)
	return doer(func(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
		defer p.then()
		return once.Do(ctx, req)
	})
}

// impatient are copies that take nothing under a context that has ended, as Redis does.
type impatient struct{ *copies }

func (c impatient) Put(ctx context.Context, ref escrow.Ref, sealed []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.copies.Put(ctx, ref, sealed)
}

// TestStopAsTheAnswerComes: the process is told to stop, or the lease is lost, in the
// moment in which the answer arrives. It is sealed in both places, and committed
// at once, because Vault is there.
func TestStopAsTheAnswerComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	parts := w.replica(t.TempDir()).Parts
	spool, err := escrow.Open(escrow.Settings{Dir: t.TempDir(), Keep: 24 * time.Hour, Keys: w.keys, Copies: impatient{w.copies}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spool.Close() })
	ctx, stop := context.WithCancel(t.Context())
	parts.Escrow, parts.Provider = spool, onAnswer{parts.Provider, stop}
	var copied atomic.Int32
	w.store.on(func(at string) error {
		if at == "before grant.write" && w.sims.Checkfront.Ledger().Calls() > 0 {
			copied.Store(int32(len(w.copies.data)))
		}
		return nil
	})
	out := renewal.New(parts, timing(), limits()).Renew(ctx, entry(acme))
	want(t, "stopped", ctx.Err() != nil, true)
	want(t, "sealed copies at the commit", copied.Load(), 1)
	want(t, "result", out.Result, renewal.ResultRenewed)
	want(t, "state", w.grant(acme).State, credential.GrantIdle)
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 1)
	w.serves(acme)
}

// diesOfIt is a refresher that a provider's answer kills.
type diesOfIt struct{ refreshers.Refresher }

func (d diesOfIt) Renew(ctx context.Context, call refreshers.Call) (refreshers.Result, error) {
	wire := call.HTTP
	call.HTTP = doer(func(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
		answer, err := wire.Do(ctx, req)
		if err == nil {
			runtime.Goexit()
		}
		return answer, err
	})
	return d.Refresher.Renew(ctx, call)
}

// mortal are the methods of Checkfront, each of which dies of an answer.
func mortal() *refreshers.Registry {
	methods := checkfront.Methods(checkfront.DefaultSettings())
	for i := range methods {
		methods[i].Refresher = diesOfIt{methods[i].Refresher}
	}
	return refreshers.NewRegistry(methods)
}

// TestSealedBeforeItIsRead: the worker dies of what the provider answered. The
// answer is in the spool all the same, and a version that can read it finds it there.
func TestSealedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	parts := r.Parts
	parts.Methods = mortal()
	died := make(chan struct{})
	go func() {
		defer close(died)
		renewal.New(parts, timing(), limits()).Renew(t.Context(), entry(acme))
		t.Error("the worker lives")
	}()
	<-died
	want(t, "waiting", len(r.escrow.Waiting()), 1)
	r.Drain(t.Context())
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 1)
	w.serves(acme)
}

// TestIntentBeatsALostLease: between the reading of the grant and the writing of the
// intent the lease is lost, and another replica rotates. The first sends nothing.
func TestIntentBeatsALostLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	first, other := w.replica(t.TempDir()), w.replica(t.TempDir())
	var overtaken atomic.Bool
	w.store.on(func(at string) error {
		if at == "before grant.write" && overtaken.CompareAndSwap(false, true) {
			want(t, "the other's result", other.Renew(t.Context(), entry(acme)).Result, renewal.ResultRenewed)
		}
		return nil
	})
	want(t, "result", first.Renew(t.Context(), entry(acme)).Result, renewal.ResultFailed)
	want(t, "conflicts", first.events.count(renewal.EventIntentConflict), 1)
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 1)
	want(t, "state", w.grant(acme).State, credential.GrantIdle)
	w.serves(acme)
}

// TestProbesAreRecorded: while a probe is out, Vault knows that it is one, when it
// began, and which attempts went before it.
func TestProbesAreRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	w.sims.Checkfront.Inject(providersim.Fault{Times: 1, Status: http.StatusBadGateway})
	r.Renew(t.Context(), entry(acme))
	failed := w.grant(acme).Intent
	var probe *credential.Intent
	w.store.on(func(at string) error {
		if at == "before grant.write" && w.sims.Checkfront.Ledger().Calls() == 2 {
			probe = w.grant(acme).Intent
		}
		return nil
	})
	w.visitUntil(r, entry(acme), func(o renewal.Outcome) bool { return o.Result == renewal.ResultRenewed })
	want(t, "a probe", probe.Probe, true)
	want(t, "an attempt of its own", probe.Attempt != failed.Attempt, true)
	want(t, "began after the in-flight bound", probe.BeganAt.Before(failed.BeganAt.Add(limits().InFlightBound)), false)
	want(t, "attempts before it", len(probe.Earlier), 1)
	want(t, "the attempt before it", probe.Earlier[0], failed.Attempt)
}

// TestSpentListKnowsBeforeTheFirstByte: no answer ever comes, and the spent list knows
// that the token went out.
func TestSpentListKnowsBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	w.sims.Checkfront.Inject(providersim.Fault{Times: 1, LoseAnswer: true})
	r.Renew(t.Context(), entry(acme))
	hash := credential.Secret(app.RefreshToken).Hash()
	want(t, "in Redis", w.copies.marks[hash], "sent")
	w.copies.setDown(errLost)
	spent, err := r.escrow.Spent(t.Context(), hash)
	want(t, "error", err, nil)
	want(t, "in the spool", spent, true)
}

// TestSendDeadlineCountsFromBeforeTheIntent: Vault takes so long over the intent that
// the deadline is over when it answers. Nothing is sent, and the intent is closed.
func TestSendDeadlineCountsFromBeforeTheIntent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	short := limits()
	short.SendDeadline = time.Second
	w.store.on(func(at string) error {
		if at == "after grant.write" {
			<-time.After(short.SendDeadline)
		}
		return nil
	})
	out := renewal.New(w.replica(t.TempDir()).Parts, timing(), short).Renew(t.Context(), entry(acme))
	want(t, "result", out.Result, renewal.ResultFailed)
	want(t, "code", credential.CodeOf(out.Err), credential.CodeNotConnected)
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 0)
	want(t, "state", w.grant(acme).State, credential.GrantIdle)
}

// TestDeadGrantLeavesANewerTokenAlone: what is published is newer than the grant that
// died, as after a part of Vault was restored. It goes on serving.
func TestDeadGrantLeavesANewerTokenAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	r := w.replica(t.TempDir())
	r.Renew(t.Context(), entry(acme))
	w.store.mu.Lock()
	dead, newer := w.store.grants[acme], w.store.tokens[acme]
	dead.State, newer.Generation = credential.GrantDead, 9
	w.store.grants[acme], w.store.tokens[acme] = dead, newer
	w.store.mu.Unlock()
	r.Renew(t.Context(), entry(acme))
	want(t, "status", w.token(acme).Status, credential.StatusActive)
	want(t, "generation", w.token(acme).Generation, 9)
}

// TestNewAuthorizationBeatsACommit: another replica adopts a new authorization just
// before our answer is committed, and is done with it. It stands.
func TestNewAuthorizationBeatsACommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ours := credential.Secret(w.checkfrontApp(acme).RefreshToken)
	r := w.replica(t.TempDir())
	theirs := credential.Grant{State: credential.GrantIdle, RefreshToken: "sim-theirs", Seeds: []string{ours.Hash(), "b"}}
	var adopted atomic.Bool
	w.store.on(func(at string) error {
		if at == "before grant.write" && w.sims.Checkfront.Ledger().Calls() > 0 && adopted.CompareAndSwap(false, true) {
			if _, err := w.store.PutGrant(t.Context(), acme, theirs, 1); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	want(t, "result", r.Renew(t.Context(), entry(acme)).Result, renewal.ResultFailed)
	want(t, "grant", w.grant(acme).RefreshToken, theirs.RefreshToken)
	want(t, "set aside", r.events.count(renewal.EventSetAside), 1)
}

// TestNoTakeoverBeforeItsTime: before the takeover time someone else's intent is not even
// claimed, which would make its owner's answer look late.
func TestNoTakeoverBeforeItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.checkfrontApp(acme)
	w.crash(t.TempDir(), "after grant.write", 1)
	w.age(acme, -time.Hour)
	began := w.grant(acme).Intent
	other := w.replica(t.TempDir())
	want(t, "result", other.Renew(t.Context(), entry(acme)).Result, renewal.ResultWaiting)
	want(t, "takeovers", other.events.count(renewal.EventTakeover), 0)
	want(t, "owner", w.grant(acme).Intent.Owner, began.Owner)
	want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 0)
}
