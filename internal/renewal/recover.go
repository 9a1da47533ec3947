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

// recoverSealed is recovery (a): if an answer to the token that the document
// still holds was sealed, judge it like a fresh one. It reports whether the visit is
// over. A place that cannot be read is not an empty one: nothing else is done
// about the intent until it can.
func (e *Engine) recoverSealed(ctx context.Context, t *turn) (Outcome, bool) {
	refs := e.attempts(t)
	if len(refs) == 0 || t.grant.Intent != nil && e.Escrow.Held(t.grant.Intent.Attempt) {
		return Outcome{}, false
	}
	t.leave = ctx.Done()
	for _, ref := range refs {
		if outcome, done := e.settle(ctx, t, ref); done {
			return outcome, true
		}
	}
	return Outcome{}, false
}

// attempts returns the presentations of the token that the document holds whose answers
// may be kept: those whose answers wait in this spool, whether the document knows of them
// or was restored from before their intent, and those that its intent names.
func (e *Engine) attempts(t *turn) []escrow.Ref {
	token := t.grant.RefreshToken.Hash()
	var refs []escrow.Ref
	for _, ref := range e.Escrow.Waiting() {
		if ref.ID == t.entry.ID && ref.Presented == token {
			refs = append(refs, ref)
		}
	}
	if t.grant.Intent == nil {
		return refs
	}
	for _, attempt := range slices.Backward(presented(t.grant.Intent)) {
		ref := escrow.Ref{ID: t.entry.ID, Attempt: attempt, Presented: token}
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// settle brings a sealed answer to the document that it belongs to, for a visit
// and for the drain alike. It reports whether something came of it; if not, there
// is no such answer, or none that matters.
func (e *Engine) settle(ctx context.Context, t *turn, ref escrow.Ref) (Outcome, bool) {
	if !e.beginSettling(ref.Attempt) {
		return Outcome{Result: ResultWaiting, Due: time.Now().Add(e.limits.recheck()), Memo: t.memo}, true
	}
	defer e.endSettling(ref.Attempt)
	plain, err := e.Escrow.Read(ctx, ref)
	switch {
	case errors.Is(err, escrow.ErrUnreadable):
		e.setAside(ctx, t.visit, ref, err)
		return Outcome{}, false
	case errors.Is(err, escrow.ErrCopiesUnread) && t.ownAttempts(e.Escrow.Owner()):
		return Outcome{}, false // it would be in our spool
	case err != nil:
		return e.storeFailed(t.visit, fmt.Errorf("whether an answer was kept cannot be known yet: %w", err)), true
	case plain == nil:
		return Outcome{}, false
	}
	result, of, err := e.judge(ctx, t, ref, plain)
	if err != nil {
		return e.dismiss(ctx, t, ref, err)
	}
	return e.bringHome(context.WithoutCancel(ctx), t, ref, result, of)
}

// dismiss deals with an answer that brings no token. Only what the answer itself
// says is a reason to let go of it.
func (e *Engine) dismiss(ctx context.Context, t *turn, ref escrow.Ref, err error) (Outcome, bool) {
	switch {
	case errors.Is(err, escrow.ErrUnreadable):
		e.setAside(ctx, t.visit, ref, err)
	case credential.KindOf(err) == credential.KindMisconfigured && credential.CodeOf(err) != refreshers.CodeInvalidClient:
		return e.storeFailed(t.visit, fmt.Errorf("a sealed answer waits for its credential to be corrected: %w", err)), true
	default:
		e.letGo(ctx, t.visit, ref, err)
	}
	return Outcome{}, false
}

// bringHome commits a recovered answer, unless it is there already or has been overtaken.
func (e *Engine) bringHome(ctx context.Context, t *turn, ref escrow.Ref, result refreshers.Result, of heard) (Outcome, bool) {
	absent := t.grant.State == "" && result.RefreshToken != ""
	switch {
	case t.grant.AccessToken == result.AccessToken:
		if err := e.publishGrant(ctx, t); err != nil {
			return e.storeFailed(t.visit, err), true
		}
		if err := e.clear(ctx, t, ref); err != nil {
			return e.storeFailed(t.visit, err), true
		}
		return Outcome{Result: ResultUnchanged, Due: e.rotationDue(t), Memo: t.memo}, true
	case !absent && t.grant.RefreshToken.Hash() != ref.Presented:
		return e.unfitting(ctx, t, ref, result, of)
	}
	if absent && of.Seed != "" {
		t.grant.Seeds, t.grant.Rotation = []string{of.Seed}, of.Rotation-1
	}
	outcome := e.keep(ctx, t, ref, result, of.StartedAt, ResultRecovered)
	if outcome.Err == nil {
		e.Observer.Event(EventRecovered, t.cred.Provider)
		t.log.Info().Str("attempt", ref.Attempt).Msg("a sealed answer is committed after the fact")
	}
	return outcome, true
}

// unfitting deals with an answer to another token than the document holds.
func (e *Engine) unfitting(ctx context.Context, t *turn, ref escrow.Ref, result refreshers.Result, of heard) (Outcome, bool) {
	held, clearAway := t.grant.Held(result.RefreshToken), e.Escrow.Delete
	if of.Seed == lastSeed(t.grant) && result.RefreshToken != "" {
		clearAway = e.Escrow.Keep
		held = held || of.Rotation <= t.grant.Rotation
	}
	if held { // committed, here or by another replica from Redis, and followed by others
		if err := clearAway(ctx, ref); err != nil {
			t.log.Warn().Err(err).Msg("an answer that was committed long ago stays in the spool for now")
		}
		return Outcome{}, false
	}
	next := t.later(result, of)
	if next == nil {
		e.setAside(ctx, t.visit, ref, errOvertaken)
		return Outcome{}, false
	}
	// It comes back to clear this answer away.
	if outcome, done := e.bringForward(ctx, t); done && !errors.Is(outcome.Err, errNotKnown) {
		return outcome, true
	}
	return e.forward(ctx, t, *next), true
}

// beginSettling keeps a visit and the drain from settling the same answer at once.
func (e *Engine) beginSettling(attempt string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.settling[attempt] {
		return false
	}
	e.settling[attempt] = true
	return true
}

func (e *Engine) endSettling(attempt string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.settling, attempt)
}

// ownAttempts reports whether this identity itself made every presentation of
// the token, so that each answer went to the spool of this process first.
func (t *turn) ownAttempts(owner string) bool {
	intent := t.grant.Intent
	return intent != nil && intent.Owner == owner && !intent.Foreign
}

// judge asks the provider what a sealed answer means. The token that it answers is
// known by its hash alone once the document has another.
func (e *Engine) judge(ctx context.Context, t *turn, ref escrow.Ref, plain []byte) (refreshers.Result, heard, error) {
	of, err := decodeAnswer(plain)
	if err != nil {
		return refreshers.Result{}, heard{}, err
	}
	call := t.call("", replay(of.Answer))
	if call.RefreshToken.Hash() != ref.Presented {
		call.RefreshToken = "known-by-its-hash-alone"
	}
	result, err := t.method.Refresher.Renew(ctx, call)
	return result, of, err
}

// claim is the first half of taking over someone else's intent: say so with a
// check-and-set, and have it watched for one in-flight bound with Vault readable throughout.
// The owner, if alive, commits its answer meanwhile and the claim loses.
func (e *Engine) claim(ctx context.Context, t *turn) Outcome {
	next := t.grant.Clone()
	old := next.Intent
	next.Intent = &credential.Intent{
		Attempt: randomHex(), Owner: e.Escrow.Owner(), BeganAt: time.Now().UTC(), Claim: true,
		NotBefore: old.NotBefore, Earlier: presented(old), Foreign: true,
	}
	if err := e.putGrant(ctx, t, next); err != nil {
		return e.storeFailed(t.visit, fmt.Errorf("claim an open intent: %w", err))
	}
	e.Observer.Event(EventTakeover, t.cred.Provider)
	t.log.Warn().Str("owner", old.Owner).Time("began_at", old.BeganAt).Msg("another worker's open intent is being taken over")
	e.watch(t.entry.ID, next.Intent.Attempt, time.Now())
	return e.waitForIntent(ctx, t, time.Now().Add(e.limits.recheck()))
}

// lost settles a token that the provider will not take: invalid_grant, or a
// token that the spent list knows to be gone. Before anybody is asked to
// authorize again, everything is read once more.
func (e *Engine) lost(ctx context.Context, t *turn, probe bool, cause error) Outcome {
	if outcome, changed := e.changedMeanwhile(ctx, t); changed {
		return outcome
	}
	// The spent list knows that Vault was put back, and nothing goes out while that cannot be
	// known. A refusal counts at once: a dead grant is looked at again.
	forward, done := e.bringForward(ctx, t)
	unknown := done && errors.Is(forward.Err, errNotKnown)
	if done && (!unknown || errors.Is(cause, escrow.ErrSpent)) {
		return forward
	}
	if e.early(t).After(t.grant.Intent.BeganAt) && !errors.Is(cause, escrow.ErrSpent) {
		return e.probeAfterExpiry(ctx, t, cause)
	}
	if probe && t.unanswered() && !errors.Is(cause, escrow.ErrSpent) {
		// Counted before the write: rather twice than never.
		e.Observer.Event(EventAnswerLost, t.cred.Provider)
		t.log.Error().Msg("an answer was lost: the provider had rotated the token, and nobody received its successor")
	}
	next := t.grant.Clone()
	next.State, next.Intent = credential.GrantDead, nil
	if err := e.putGrant(ctx, t, next); err != nil {
		return e.storeFailed(t.visit, fmt.Errorf("record that the grant is dead: %w", err))
	}
	outcome := e.publishDead(ctx, t, unknown)
	outcome.Result, outcome.Err = ResultFailed, cause
	return outcome
}

// changedMeanwhile reads the grant, the credential and the escrow once more. If
// another worker, a person or a sealed answer changed anything, the refusal
// is no failure.
func (e *Engine) changedMeanwhile(ctx context.Context, t *turn) (Outcome, bool) {
	again := Outcome{Result: ResultWaiting, Due: time.Now(), Memo: t.memo}
	doc, unchanged, err := e.readIntentAgain(ctx, t)
	if err != nil {
		return e.storeFailed(t.visit, err), true
	}
	if !unchanged {
		return again, true
	}
	switch fresh, err := e.newSeed(ctx, doc, t.entry.ID); {
	case err != nil:
		return e.storeFailed(t.visit, err), true
	case fresh:
		return again, true
	}
	for _, ref := range e.attempts(t) {
		if ref.Attempt == t.grant.Intent.Attempt {
			continue // it was refused
		}
		if outcome, done := e.settle(ctx, t, ref); done {
			return outcome, true
		}
	}
	return Outcome{}, false
}

// newSeed reports whether a person has stored a seed that was never used.
func (e *Engine) newSeed(ctx context.Context, doc credential.Grant, id credential.ID) (bool, error) {
	cred, err := e.Credentials.Credential(ctx, id)
	if errors.Is(err, credential.ErrNotFound) || credential.KindOf(err) == credential.KindMisconfigured {
		return false, nil
	}
	seed := credential.Secret(cred.Field("refresh_token"))
	return seed != "" && !doc.Adopted(seed), err
}

// probeAfterExpiry keeps a token that was refused while the access token was
// still good: Checkfront's document speaks of refreshing after it has expired.
func (e *Engine) probeAfterExpiry(ctx context.Context, t *turn, cause error) Outcome {
	next := t.grant.Clone()
	next.Intent.NotBefore = e.early(t)
	if err := e.putGrant(ctx, t, next); err != nil {
		return e.storeFailed(t.visit, fmt.Errorf("put off the probe of a refused token: %w", err))
	}
	if err := e.publishStatus(ctx, t.visit, credential.StatusRetrying, "the provider refused the refresh token; it is tried once more when the access token has expired"); err != nil {
		t.log.Warn().Err(err).Msg("the status could not be published; it will be tried again")
	}
	due := latest(next.Intent.NotBefore, next.Intent.BeganAt.Add(e.limits.InFlightBound))
	return Outcome{Result: ResultFailed, Due: due, Memo: t.memo, Err: cause}
}

// publishDead says that a person must authorize again, unless a newer generation
// has been published. The grant is looked at again, soon if a later token may be kept.
func (e *Engine) publishDead(ctx context.Context, t *turn, soon bool) Outcome {
	overtaken := false
	err := e.publish(ctx, t.visit, func(current credential.Token) (credential.Token, bool) {
		if overtaken = current.Generation > t.grant.Generation && !current.Expired(time.Now()); overtaken {
			return current, false // it goes on serving while it can
		}
		next := current
		t.describe(&next)
		next.Status, next.Message = credential.StatusNeedsAuthorization, askForAuthorization(t)
		return next, true
	})
	if err != nil {
		return e.storeFailed(t.visit, err)
	}
	if overtaken && e.revived(ctx, t) {
		return Outcome{Result: ResultUnchanged, Due: time.Now(), Memo: t.memo}
	}
	wait := pausedRecheck
	if soon {
		wait = e.limits.AskPersonEvery
	}
	return Outcome{Result: ResultUnchanged, Due: t.notPastExpiry(time.Now().Add(wait)), Memo: t.memo}
}

// revived reports whether a grant lives again that this process has found dead and then
// stood still over: what it knows must not become the queue's word.
func (e *Engine) revived(ctx context.Context, t *turn) bool {
	doc, read, err := e.readGrant(ctx, t.entry.ID)
	if err != nil || doc.State == credential.GrantDead {
		return false
	}
	t.grant, t.read = doc, read
	noteGrant(&t.memo, t.grant, t.method)
	return true
}

func askForAuthorization(t *turn) string {
	return fmt.Sprintf("%s no longer takes the refresh token: authorize the application again and store the new one with: refresher credentials put %s refresh_token=-", t.cred.Provider, t.entry.ID)
}

// alreadySpent is the refusal of the spent list. The kind says whether that is
// the last word.
func alreadySpent(t *turn, kind credential.Kind) error {
	return &credential.Error{
		Kind: kind, Provider: t.cred.Provider, Code: "already_spent",
		Err: fmt.Errorf("%w: Vault was restored from a backup, or one grant is stored under two names", escrow.ErrSpent),
	}
}

// unanswered reports whether a presentation before this one may have been answered
// and nobody heard of it. Of the earlier ones, the one that a probe was put off for
// was refused.
func (t *turn) unanswered() bool {
	refused := 0
	if !t.grant.Intent.NotBefore.IsZero() {
		refused = 1
	}
	return len(t.grant.Intent.Earlier) > refused
}

// early returns until when a refusal may only mean that the access token still lives:
// its life is counted from before the call that brought it, and the provider's own
// count may have begun as late as that call's end.
func (e *Engine) early(t *turn) time.Time {
	if t.grant.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return t.grant.ExpiresAt.Add(e.limits.RotationTimeout)
}
