package renewal

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/refreshers"
)

// sealLimit bounds the sealing of one answer.
const sealLimit = 15 * time.Second

// exchange is the Doer of one presentation. It puts the spent list in front of
// the first byte, and the seal between the answer and whoever parses it.
type exchange struct {
	engine   *Engine
	provider string
	doer     refreshers.Doer
	ref      escrow.Ref
	of       escrow.Lineage
	// generation is the grant's with the answer.
	generation int
	slot       *escrow.Slot
	probe      bool
	log        zerolog.Logger

	// marked: the spent list was told that the token goes out.
	marked    bool
	sealed    bool
	startedAt time.Time
}

// gate runs on the open connection just before the first byte.
func (x *exchange) gate(ctx context.Context) error {
	err := x.engine.Escrow.Present(ctx, x.ref.Presented, x.probe)
	x.marked = !errors.Is(err, escrow.ErrSpent)
	return err
}

// Do sends the request and seals the raw answer before anybody looks at it.
func (x *exchange) Do(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
	answer, err := x.doer.Do(ctx, req)
	if err != nil {
		return answer, err
	}
	x.startedAt = answer.StartedAt
	sealing, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealLimit)
	defer cancel()
	if err := x.slot.Seal(sealing, encodeAnswer(heard{answer, x.of, x.generation})); err != nil {
		x.engine.Observer.Event(EventNotSealed, x.provider)
		x.log.Error().Err(err).Msg("the provider's answer could be kept nowhere but in memory; it is being committed from there")
	} else {
		x.sealed = true
	}
	return answer, nil
}

// replay is the Doer that hands out an answer which was sealed earlier.
type replay refreshers.Answer

// Do returns the sealed answer; nothing is sent.
func (r replay) Do(context.Context, *http.Request) (refreshers.Answer, error) {
	return refreshers.Answer(r), nil
}

// refused settles a presentation that brought no new token. What err proves
// about the presented token decides what becomes of the intent.
func (e *Engine) refused(ctx context.Context, t *turn, x *exchange, err error) Outcome {
	if x.sealed {
		e.letGo(ctx, t.visit, x.ref, err)
	}
	switch {
	case errors.Is(err, escrow.ErrTooSoon): // Vault has forgotten a probe
		return e.waitForIntent(ctx, t, t.grant.Intent.BeganAt.Add(e.limits.InFlightBound))
	case errors.Is(err, escrow.ErrSpent) && !x.probe:
		e.Observer.Event(EventSpentRefused, t.cred.Provider)
		return e.presentedBefore(ctx, t, err)
	case errors.Is(err, escrow.ErrSpent):
		e.Observer.Event(EventSpentRefused, t.cred.Provider)
		return e.lost(ctx, t, x.probe, alreadySpent(t, credential.KindRejected))
	case credential.KindOf(err) == credential.KindRejected:
		return e.lost(ctx, t, x.probe, err)
	case credential.KindOf(err) == credential.KindAmbiguous:
		return e.stillOpen(ctx, t, err)
	}
	if x.probe || (x.marked && e.Escrow.Unspent(ctx, x.ref.Presented) != nil) {
		// This presentation spent nothing, but an earlier one may have; or the
		// proof could not be recorded.
		return e.stillOpen(ctx, t, err)
	}
	return e.unspent(ctx, t, err)
}

// presentedBefore settles a first presentation that the spent list has refused. The token was
// presented with an outcome that this document does not know: a recorded probe decides, unless a
// later token turns up, or this one is known to have been rotated.
func (e *Engine) presentedBefore(ctx context.Context, t *turn, err error) Outcome {
	if errors.Is(err, escrow.ErrSpentElsewhere) {
		e.foreign(ctx, t)
	}
	if outcome, done := e.bringForward(ctx, t); done {
		return outcome
	}
	return e.stillOpen(ctx, t, alreadySpent(t, credential.KindAmbiguous))
}

// letGo parts with a sealed answer that brought no token. One in which a token may be
// that nobody here can find is kept for a person, and for a version that can.
func (e *Engine) letGo(ctx context.Context, v *visit, ref escrow.Ref, cause error) {
	if credential.CodeOf(cause) == refreshers.CodeNoToken {
		e.setAside(ctx, v, ref, cause)
		return
	}
	if err := e.Escrow.Delete(ctx, ref); err != nil {
		v.log.Warn().Err(err).Msg("an answer that is no rotation stays in the spool for now")
	}
}

// stillOpen leaves the intent for recovery.
func (e *Engine) stillOpen(ctx context.Context, t *turn, err error) Outcome {
	outcome := e.failed(ctx, t.visit, err)
	if retry := t.grant.Intent.BeganAt.Add(e.limits.InFlightBound); outcome.Due.Before(retry) {
		outcome.Due = t.notPastExpiry(retry)
	}
	return outcome
}

// foreign takes down that another replica has presented the token: its answer is not to be
// found in this spool, and without Redis it cannot be known that there is none.
func (e *Engine) foreign(ctx context.Context, t *turn) {
	next := t.grant.Clone()
	next.Intent.Foreign = true
	if err := e.putGrant(ctx, t, next); err != nil {
		t.log.Warn().Err(err).Msg("that another replica has presented the token could not be noted")
	}
}

// unspent closes the intent: the token is known to be unspent. If that cannot be
// written the intent stays open, which is slower and just as safe.
func (e *Engine) unspent(ctx context.Context, t *turn, cause error) Outcome {
	next := t.grant.Clone()
	next.State, next.Intent = credential.GrantIdle, nil
	err := e.putGrant(ctx, t, next)
	if errors.Is(err, errOldReading) { // the call took long
		if _, unchanged, readErr := e.readIntentAgain(ctx, t); unchanged {
			err = e.putGrant(ctx, t, next)
		} else {
			err = errors.Join(err, readErr)
		}
	}
	if err != nil {
		t.log.Warn().Err(err).Msg("the intent could not be closed; it will be probed")
	}
	return e.failed(ctx, t.visit, cause)
}
