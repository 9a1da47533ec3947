package renewal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// This is what happens when Vault was put back to before a commit. The token that it holds
// then has been rotated, and the provider will not take it again; but the answer to a later
// rotation of the same authorization may be kept, with the token that lives.
//
// That token may have been presented as well, by a rotation that Vault has forgotten too and
// whose answer is under way. So it is written with an open claim: it serves at once, and is
// presented when that was watched for one in-flight bound, as a recorded probe.

// errNotKnown means that it cannot be known yet whether a later answer is kept.
var errNotKnown = errors.New("whether a later answer is kept cannot be known yet")

// bringForward gives a grant the latest token that is kept of it, if that is later than its
// own. It reports whether the visit is over.
func (e *Engine) bringForward(ctx context.Context, t *turn) (Outcome, bool) {
	answers, err := e.Escrow.All(ctx, t.entry.ID)
	if err != nil {
		return e.storeFailed(t.visit, fmt.Errorf("%w: %w", errNotKnown, err)), true
	}
	var latest *credential.Grant
	for _, answer := range answers {
		result, of, err := e.judge(ctx, t, answer.Ref, answer.Plain)
		if err != nil {
			continue // it brought no token
		}
		if next := t.later(result, of); next != nil && (latest == nil || next.Generation > latest.Generation) {
			latest = next
		}
	}
	if latest == nil {
		return Outcome{}, false
	}
	return e.forward(ctx, t, *latest), true
}

// later returns the grant as it is after an answer, nil if it is further on already, or if
// the answer belongs to another authorization.
func (t *turn) later(result refreshers.Result, of heard) *credential.Grant {
	if result.RefreshToken == "" || !of.after(t.grant) || t.grant.Held(result.RefreshToken) {
		return nil
	}
	next := t.rotated(result, of.StartedAt)
	next.Generation = max(next.Generation, of.Generation)
	return &next
}

// forward writes a later grant, with a claim, and publishes it.
func (e *Engine) forward(ctx context.Context, t *turn, next credential.Grant) Outcome {
	if err := e.putGrant(ctx, t, e.claimed(next)); err != nil {
		return e.storeFailed(t.visit, fmt.Errorf("bring the grant forward to a later token: %w", err))
	}
	e.Observer.Event(EventBroughtForward, t.cred.Provider)
	t.log.Warn().Int("generation", next.Generation).Msg("Vault was put back to before this token; an answer that was kept brings the grant forward")
	if err := e.publishGrant(ctx, t); err != nil {
		return e.storeFailed(t.visit, err)
	}
	return Outcome{Result: ResultRecovered, Due: time.Now().Add(e.limits.recheck()), Memo: t.memo}
}

// claimed returns a grant with a claim on whatever presentation of its token may be forgotten.
func (e *Engine) claimed(g credential.Grant) credential.Grant {
	g.State, g.Intent = credential.GrantIntent, &credential.Intent{
		Attempt: randomHex(), Owner: e.Escrow.Owner(), BeganAt: time.Now().UTC(), Claim: true, Foreign: true,
	}
	return g
}

// dead publishes that a grant is dead, unless a later token has turned up. That Redis cannot
// say is no reason to wait: the grant was given up when it could.
func (e *Engine) dead(ctx context.Context, t *turn) Outcome {
	if outcome, done := e.bringForward(ctx, t); done && !errors.Is(outcome.Err, errNotKnown) {
		return outcome
	}
	return e.publishDead(ctx, t)
}
