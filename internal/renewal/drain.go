package renewal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/refreshers"
)

// absentFor is how long the drain leaves an answer alone whose credential is not
// there, or cannot be used: only a person changes that.
const absentFor = 10 * time.Minute

// try is what the drain remembers of an answer that it could not commit.
type try struct {
	wait  time.Duration
	again time.Time
}

// errNotNow means that the drain can do nothing about an answer at the moment.
var errNotNow = errors.New("a person must store or correct the credential first")

// errNotCleared means that nobody needs an answer any more, and it is still in the spool.
var errNotCleared = errors.New("it is of no use any more, and the spool could not be cleared of it (is the disk read-only?)")

// Drain commits the sealed answers that wait in this process's own spool, after it has made
// sure of their copies in Redis, and keeps an eye on open claims. It needs no lease, since check-and-set decides, and
// costs nothing while there are none. Call it at start and at every tick, one call at a
// time. It returns the credentials that it changed something about, and those whose claims this
// process can go on with, so that the queue can be told.
func (e *Engine) Drain(ctx context.Context) []credential.ID {
	e.Escrow.CopyAgain(ctx, time.Now())
	var touched []credential.ID
	for _, ref := range e.Escrow.Waiting() {
		if ctx.Err() != nil {
			break
		}
		last := e.drained[ref.Attempt]
		if time.Now().Before(last.again) {
			continue
		}
		// Set before the try, so that one that panics is not tried at every tick.
		wait := min(max(2*last.wait, time.Second), e.limits.StoreRetry)
		e.drained[ref.Attempt] = try{wait, time.Now().Add(wait)}
		err := e.drainOne(ctx, ref)
		switch {
		case err == nil:
			delete(e.drained, ref.Attempt)
			touched = append(touched, ref.ID)
			continue
		case errors.Is(err, errNotNow):
			e.drained[ref.Attempt] = try{wait, time.Now().Add(absentFor)}
		}
		e.Log.Warn().Err(err).Str("tenant", ref.ID.Tenant).Str("credential", ref.ID.Name).Str("attempt", ref.Attempt).
			Msg("a sealed answer waits in the spool")
	}
	return append(touched, e.watchClaims(ctx)...)
}

// RedisForgot says that Redis has lost all that it held; Drain tells it again. It does not block.
func (e *Engine) RedisForgot() { e.Escrow.RedisForgot() }

func (e *Engine) drainOne(ctx context.Context, ref escrow.Ref) error {
	v := e.newVisit(credential.Entry{ID: ref.ID})
	doc, read, err := e.readGrant(ctx, ref.ID)
	if err != nil {
		return err
	}
	cred, err := e.Credentials.Credential(ctx, ref.ID)
	if err == nil {
		v.method, v.cred, err = e.Methods.Resolve(cred, e.Provider.Guard)
	}
	switch {
	case errors.Is(err, credential.ErrNotFound), credential.KindOf(err) == credential.KindMisconfigured:
		return fmt.Errorf("%w: %w", errNotNow, err)
	case err != nil:
		return err
	case v.method.Upkeep != refreshers.Rotating:
		return fmt.Errorf("%w: it is %s now, which has no grant", errNotNow, v.method.Name())
	}
	if v.token, _, err = e.published(ctx, v); err != nil {
		return err
	}
	// One try at each tick: an answer that cannot be committed holds up no other.
	once := make(chan struct{})
	close(once)
	outcome, done := e.settle(ctx, &turn{visit: v, grant: doc, read: read, leave: once}, ref)
	switch {
	case done && errors.Is(outcome.Err, errForgotten):
		return fmt.Errorf("%w: %w", errNotNow, outcome.Err)
	case done:
		return outcome.Err
	case slices.Contains(e.Escrow.Waiting(), ref):
		return errNotCleared
	default:
		return nil
	}
}
