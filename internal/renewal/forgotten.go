package renewal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// This file deals with a Vault that was put back to before a commit. The token that it holds
// then has been rotated, and the provider will not take it again; but the answer to a later
// rotation of the same authorization may be kept, with the token that lives.
//
// That token may have been presented as well, by a rotation that Vault has forgotten too and
// whose answer is under way. So it is written with an open claim: it serves at once, and goes out
// when it is due, as a recorded probe, after the claim was watched for one in-flight bound.

// errNotKnown means that it cannot be known yet whether a later answer is kept.
var errNotKnown = errors.New("whether a later answer is kept cannot be known yet")

// bringForward gives a grant the latest token that is within reach, if that is later than its
// own. It reports whether the visit is over: also, with errNotKnown, if there is none and a place
// could not be asked. One that is even later can only be there, and is found when the
// token's own turn comes, before it is probed.
func (e *Engine) bringForward(ctx context.Context, t *turn) (Outcome, bool) {
	answers, unread := e.Escrow.After(ctx, t.entry.ID, lineageOf(t.grant))
	var latest *credential.Grant
	for _, answer := range answers {
		result, of, err := e.judge(ctx, t, answer.Ref, answer.Plain)
		if err != nil {
			continue // it brought no token
		}
		if next := t.later(result, of); next != nil && (latest == nil || next.Rotation > latest.Rotation) {
			latest = next
		}
	}
	switch {
	case latest != nil:
		return e.forward(ctx, t, *latest), true
	case unread != nil:
		return e.storeFailed(t.visit, fmt.Errorf("%w: %w", errNotKnown, unread)), true
	default:
		return Outcome{}, false
	}
}

// later returns the grant as it is after an answer, nil if it is further on already, or if
// the answer belongs to another authorization.
func (t *turn) later(result refreshers.Result, of heard) *credential.Grant {
	if result.RefreshToken == "" || !of.After(lineageOf(t.grant)) || t.grant.Held(result.RefreshToken) {
		return nil
	}
	next := t.rotated(result, of.StartedAt)
	next.Rotation, next.Generation = of.Rotation, max(next.Generation, of.Generation)
	return &next
}

// forward writes a later grant, with a claim, and publishes it.
func (e *Engine) forward(ctx context.Context, t *turn, next credential.Grant) Outcome {
	if err := e.putGrant(ctx, t, e.claimed(t, next)); err != nil {
		return e.storeFailed(t.visit, fmt.Errorf("bring the grant forward to a later token: %w", err))
	}
	e.Observer.Event(EventBroughtForward, t.cred.Provider)
	t.log.Warn().Int("rotation", next.Rotation).Msg("Vault was put back to before this token; an answer that was kept brings the grant forward")
	if err := e.publishGrant(ctx, t); err != nil {
		return e.storeFailed(t.visit, err)
	}
	return Outcome{Result: ResultRecovered, Due: e.claimDue(t), Memo: t.memo}
}

// claimed returns a grant with a claim on whatever presentation of its token may be forgotten.
// Nothing is done about it before the grant is due.
func (e *Engine) claimed(t *turn, next credential.Grant) credential.Grant {
	ahead := *t
	ahead.grant = next
	next.State, next.Intent = credential.GrantIntent, &credential.Intent{
		Attempt: randomHex(), Owner: e.Escrow.Owner(), BeganAt: time.Now().UTC(), Claim: true, Foreign: true,
		NotBefore: e.rotationDue(&ahead),
	}
	return next
}

// first presents a token for the first time, unless a later one is within reach. A place that
// cannot be asked holds nothing up: an outage of Redis must not.
func (e *Engine) first(ctx context.Context, t *turn) Outcome {
	if outcome, done := e.bringForward(ctx, t); done && !errors.Is(outcome.Err, errNotKnown) {
		return outcome
	}
	return e.present(ctx, t, false)
}

// probe presents the token again, unless a later one is within reach. Whether there is one in
// Redis counts for nothing if every answer would have come to this process's own spool.
func (e *Engine) probe(ctx context.Context, t *turn) Outcome {
	outcome, done := e.bringForward(ctx, t)
	if done && !(errors.Is(outcome.Err, errNotKnown) && t.ownAttempts(e.Escrow.Owner())) {
		return outcome
	}
	return e.present(ctx, t, true)
}

// dead publishes that a grant is dead, unless a later token has turned up.
func (e *Engine) dead(ctx context.Context, t *turn) Outcome {
	outcome, done := e.bringForward(ctx, t)
	if done && !errors.Is(outcome.Err, errNotKnown) {
		return outcome
	}
	return e.publishDead(ctx, t, done)
}

// forgotten reports whether a document has never seen an authorization.
func forgotten(doc credential.Grant, seed string) bool {
	return seed != "" && !slices.Contains(doc.Seeds, seed)
}

// brought reports whether a claim is by which a grant was brought forward: there is no
// presentation that it takes over.
func brought(i *credential.Intent) bool { return i.Claim && len(i.Earlier) == 0 }

// claimDue is when somebody has to begin to watch such a claim.
func (e *Engine) claimDue(t *turn) time.Time { return e.rotationDue(t).Add(-e.limits.InFlightBound) }
