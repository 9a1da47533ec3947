package renewal

import (
	"context"
	"errors"
	"fmt"
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
	if e.Escrow.Held(t.grant.Intent.Attempt) {
		return Outcome{}, false
	}
	for _, attempt := range append([]string{t.grant.Intent.Attempt}, t.grant.Intent.Earlier...) {
		ref := escrow.Ref{ID: t.entry.ID, Attempt: attempt, Presented: t.grant.RefreshToken.Hash()}
		outcome, done := e.recoverAttempt(ctx, t, ref)
		if done {
			return outcome, true
		}
	}
	return Outcome{}, false
}

func (e *Engine) recoverAttempt(ctx context.Context, t *turn, ref escrow.Ref) (Outcome, bool) {
	plain, err := e.Escrow.Read(ctx, ref)
	switch {
	case errors.Is(err, escrow.ErrUnreadable):
		e.setAside(ctx, t.visit, ref, err)
		return Outcome{}, false
	case errors.Is(err, escrow.ErrCopiesUnread) && t.ownAttempt(ref, e.Escrow.Owner()):
		return Outcome{}, false // it would be in our spool
	case err != nil:
		return e.storeFailed(t.visit, fmt.Errorf("an intent is open, and whether its answer was kept cannot be known yet: %w", err)), true
	case plain == nil:
		return Outcome{}, false
	}
	result, startedAt, err := e.judge(ctx, t, plain)
	if errors.Is(err, escrow.ErrUnreadable) {
		e.setAside(ctx, t.visit, ref, err)
		return Outcome{}, false
	}
	if err != nil {
		if err := e.Escrow.Delete(ctx, ref); err != nil {
			t.log.Warn().Err(err).Msg("an answer that is no rotation stays in the spool for now")
		}
		return Outcome{}, false
	}
	e.Observer.Event(EventRecovered, t.cred.Provider)
	t.log.Info().Str("attempt", ref.Attempt).Msg("a sealed answer is committed after the fact")
	return e.keep(context.WithoutCancel(ctx), t, ref, result, startedAt, ResultRecovered), true
}

// ownAttempt reports whether this identity itself made the attempt, so that its
// answer went to the spool of this process first.
func (t *turn) ownAttempt(ref escrow.Ref, owner string) bool {
	intent := t.grant.Intent
	return intent.Owner == owner && intent.Attempt == ref.Attempt
}

// judge asks the provider what a sealed answer means.
func (e *Engine) judge(ctx context.Context, t *turn, plain []byte) (refreshers.Result, time.Time, error) {
	answer, err := decodeAnswer(plain)
	if err != nil {
		return refreshers.Result{}, time.Time{}, err
	}
	result, err := t.method.Refresher.Renew(ctx, t.call("", replay(answer)))
	return result, answer.StartedAt, err
}

// claim is the first half of taking over someone else's intent: say so with a
// check-and-set, and wait one in-flight bound with Vault readable throughout. The
// owner, if alive, commits its answer meanwhile and the claim loses.
func (e *Engine) claim(ctx context.Context, t *turn) Outcome {
	next := t.grant.Clone()
	old := *next.Intent
	next.Intent = &credential.Intent{
		Attempt: randomHex(), Owner: e.Escrow.Owner(), BeganAt: time.Now().UTC(), Claim: true,
		NotBefore: old.NotBefore, Earlier: append(old.Earlier, old.Attempt),
	}
	if _, err := e.Grants.PutGrant(ctx, t.entry.ID, next, t.version); err != nil {
		return e.storeFailed(t.visit, fmt.Errorf("claim an open intent: %w", err))
	}
	e.Observer.Event(EventTakeover, t.cred.Provider)
	t.log.Warn().Str("owner", old.Owner).Time("began_at", old.BeganAt).Msg("another worker's open intent is being taken over")
	e.watch(next.Intent.Attempt, time.Now())
	t.grant = next
	e.noteGrant(t)
	return e.waitForIntent(ctx, t, time.Now().Add(e.limits.recheck()))
}

// watch notes that Vault was readable while a claim waits.
func (e *Engine) watch(attempt string, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.claims[attempt] = now
}

func (e *Engine) unwatch(attempt string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.claims, attempt)
}

// watched reports whether Vault was seen readable often enough since the claim
// was made, and notes that it is now. A process that was restarted has not been
// watching, and its claim starts over.
func (e *Engine) watched(attempt string, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	last, ok := e.claims[attempt]
	if !ok || now.Sub(last) > max(4*e.limits.recheck(), 30*time.Second) {
		return false
	}
	e.claims[attempt] = now
	return true
}

// lost settles a token that the provider will not take: invalid_grant, or a
// token that the spent list knows to be gone. Before anybody is asked to
// authorize again, everything is read once more.
func (e *Engine) lost(ctx context.Context, t *turn, probe bool, cause error) Outcome {
	if outcome, changed := e.changedMeanwhile(ctx, t); changed {
		return outcome
	}
	if !probe && !errors.Is(cause, escrow.ErrSpent) && t.grant.ExpiresAt.After(time.Now()) {
		return e.probeAfterExpiry(ctx, t, cause)
	}
	next := t.grant.Clone()
	next.State, next.Intent = credential.GrantDead, nil
	version, err := e.Grants.PutGrant(ctx, t.entry.ID, next, t.version)
	if err != nil {
		return e.storeFailed(t.visit, fmt.Errorf("record that the grant is dead: %w", err))
	}
	if probe && len(t.grant.Intent.Earlier) > 0 && t.grant.Intent.NotBefore.IsZero() {
		e.Observer.Event(EventAnswerLost, t.cred.Provider)
		t.log.Error().Msg("an answer was lost: the provider had rotated the token, and nobody received its successor")
	}
	t.grant, t.version = next, version
	e.noteGrant(t)
	outcome := e.publishDead(ctx, t)
	outcome.Result, outcome.Err = ResultFailed, cause
	return outcome
}

// changedMeanwhile reads the grant, the credential and the escrow once more. If
// another worker, a person or a sealed answer changed anything, the refusal
// is no failure.
func (e *Engine) changedMeanwhile(ctx context.Context, t *turn) (Outcome, bool) {
	again := Outcome{Result: ResultWaiting, Due: time.Now(), Memo: t.memo}
	doc, version, err := e.Grants.Grant(ctx, t.entry.ID)
	if err != nil {
		return e.storeFailed(t.visit, err), true
	}
	if version != t.version || doc.Intent == nil || doc.Intent.Attempt != t.grant.Intent.Attempt {
		return again, true
	}
	switch fresh, err := e.newSeed(ctx, doc, t.entry.ID); {
	case err != nil:
		return e.storeFailed(t.visit, err), true
	case fresh:
		return again, true
	}
	for _, attempt := range t.grant.Intent.Earlier {
		ref := escrow.Ref{ID: t.entry.ID, Attempt: attempt, Presented: t.grant.RefreshToken.Hash()}
		if outcome, done := e.recoverAttempt(ctx, t, ref); done {
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
	next.Intent.NotBefore = t.grant.ExpiresAt
	version, err := e.Grants.PutGrant(ctx, t.entry.ID, next, t.version)
	if err != nil {
		return e.storeFailed(t.visit, fmt.Errorf("put off the probe of a refused token: %w", err))
	}
	t.grant, t.version = next, version
	if err := e.publishStatus(ctx, t.visit, credential.StatusRetrying, "the provider refused the refresh token; it is tried once more when the access token has expired"); err != nil {
		t.log.Warn().Err(err).Msg("the status could not be published; it will be tried again")
	}
	due := latest(next.Intent.NotBefore, next.Intent.BeganAt.Add(e.limits.InFlightBound))
	return Outcome{Result: ResultFailed, Due: due, Memo: t.memo, Err: cause}
}

// publishDead says that a person must authorize again, unless a newer generation
// has been published.
func (e *Engine) publishDead(ctx context.Context, t *turn) Outcome {
	err := e.publish(ctx, t.visit, func(current credential.Token) (credential.Token, bool) {
		if current.Generation > t.grant.Generation {
			return current, false
		}
		next := current
		t.describe(&next)
		next.Status, next.Message = credential.StatusNeedsAuthorization, askForAuthorization(t)
		return next, true
	})
	if err != nil {
		return e.storeFailed(t.visit, err)
	}
	return Outcome{Result: ResultUnchanged, Due: time.Now().Add(pausedRecheck), Memo: t.memo}
}

func askForAuthorization(t *turn) string {
	return fmt.Sprintf("%s no longer takes the refresh token: authorize the application again and store the new one with: refresher credentials put %s refresh_token=-", t.cred.Provider, t.entry.ID)
}

// alreadySpent is the refusal of the spent list.
func alreadySpent(t *turn) error {
	return &credential.Error{
		Kind: credential.KindRejected, Provider: t.cred.Provider, Code: "already_spent",
		Err: fmt.Errorf("%w: Vault was restored from a backup, or one grant is stored under two names", escrow.ErrSpent),
	}
}
