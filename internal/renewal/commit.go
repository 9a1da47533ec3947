package renewal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/refreshers"
)

// errOvertaken means that the document holds neither the presented token nor its
// successor: a person authorized again while the answer was under way.
var errOvertaken = errors.New("a newer authorization has taken this one's place")

// errForgotten means that the document has never seen the authorization that an answer belongs
// to: Vault was put back to before it. The answer waits until the seed is stored again.
var errForgotten = errors.New("the authorization that a sealed answer belongs to is not known to Vault, which was put back; the answer waits until its refresh_token is stored again")

// errLeft means that a commit was left to recovery because the process is stopping.
var errLeft = errors.New("the process is stopping; the sealed answer will be committed by recovery")

// keep is steps 7 to 9: it brings a new token to Vault, publishes it, and clears
// the sealed copies.
func (e *Engine) keep(ctx context.Context, t *turn, ref escrow.Ref, result refreshers.Result, startedAt time.Time, as string) Outcome {
	e.markAnswered(ctx, t, ref, result)
	switch err := e.commit(ctx, t, ref, t.rotated(result, startedAt)); {
	case errors.Is(err, errOvertaken):
		e.setAside(ctx, t.visit, ref, err)
		return Outcome{Result: ResultFailed, Due: time.Now(), Memo: t.memo, Err: err}
	case err != nil:
		return e.storeFailed(t.visit, err)
	}
	t.memo.Failures, t.memo.Refusals = 0, 0
	noteGrant(&t.memo, t.grant, t.method)
	t.entry.Memo.Forced = false // it is done, whatever becomes of the publication
	published := e.publishGrant(ctx, t)
	if err := e.clear(ctx, t, ref); err != nil {
		t.log.Warn().Err(err).Msg("a committed answer stays in the spool for now")
	}
	if published != nil {
		return e.storeFailed(t.visit, published)
	}
	if t.grant.Intent != nil { // Vault was put back meanwhile, or somebody goes on already
		return Outcome{Result: as, Due: e.claimDue(t), Memo: t.memo}
	}
	return Outcome{Result: as, Due: e.rotationDue(t), Memo: t.memo}
}

// clear is step 9: it takes a committed answer out of the way. The last one that brought a new
// refresh token is kept, in case Vault is put back to before its commit.
func (e *Engine) clear(ctx context.Context, t *turn, ref escrow.Ref) error {
	if t.grant.RefreshToken.Hash() == ref.Presented {
		return e.Escrow.Delete(ctx, ref) // the token was not replaced
	}
	return e.Escrow.Keep(ctx, ref)
}

// markAnswered tells the spent list what the answer proves.
func (e *Engine) markAnswered(ctx context.Context, t *turn, ref escrow.Ref, result refreshers.Result) {
	mark := e.Escrow.Rotated
	if result.RefreshToken == "" || result.RefreshToken == t.grant.RefreshToken {
		mark = e.Escrow.Unspent // it lives on, and will be presented again
	}
	if err := mark(ctx, ref.Presented); err != nil {
		t.log.Warn().Err(err).Msg("the spent list could not be written")
	}
}

// nextGeneration is the grant's with the next token.
func (t *turn) nextGeneration() int { return max(t.grant.Generation, t.token.Generation) + 1 }

// rotated returns the grant as it is after the answer. An answer without a
// refresh token leaves the presented one in place, with its issue date.
func (t *turn) rotated(result refreshers.Result, startedAt time.Time) credential.Grant {
	next := t.grant.Clone()
	next.State, next.Intent = credential.GrantIdle, nil
	if result.RefreshToken != "" {
		next.Replace(result.RefreshToken)
		next.RefreshTokenIssuedAt = startedAt.UTC()
	}
	if next.RefreshToken != t.grant.RefreshToken {
		next.Rotation++
	}
	next.Generation = t.nextGeneration()
	next.AccessToken, next.TokenType = result.AccessToken, result.TokenType
	next.IssuedAt, next.ExpiresAt = startedAt.UTC(), result.ExpiresAt.UTC()
	return next
}

// commit writes the rotated grant, for as long as it takes. What is known of the
// document is read anew when it has become old: the call, or a wait, took long. On
// success t holds what is in Vault.
func (e *Engine) commit(ctx context.Context, t *turn, ref escrow.Ref, next credential.Grant) error {
	over := t.read
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, e.limits.CommitRetryMax) {
		read, err := e.writeGrant(ctx, t.entry.ID, next, over)
		if err == nil {
			e.committed(t, next, read)
			return nil
		}
		old := errors.Is(err, errOldReading)
		if !old {
			e.Observer.Event(EventCommitConflict, t.cred.Provider)
		}
		doc, read, readErr := e.readGrant(ctx, t.entry.ID)
		if readErr == nil {
			what := readBack(doc, next, ref.Presented)
			if err := what.over(); err != nil {
				return err
			}
			switch what {
			case foundOurs:
				t.grant, t.read = doc, read
				return nil
			case foundPutBack:
				next = e.claimed(t, next)
			}
			moved := read.version != over.version
			over, next.Generation = read, max(next.Generation, doc.Generation+1)
			if old || moved && errors.Is(err, credential.ErrConflict) {
				continue
			}
		}
		err = errors.Join(err, readErr)
		t.log.Warn().Err(err).Dur("again_in_ms", wait).Msg("a rotation is not committed yet")
		if !t.stays(wait) {
			return fmt.Errorf("%w: %w", errLeft, err)
		}
	}
}

func (e *Engine) committed(t *turn, next credential.Grant, read reading) {
	t.grant, t.read = next, read
	if next.Intent != nil {
		e.Observer.Event(EventBroughtForward, t.cred.Provider)
	}
}

// stays waits, and reports whether the process goes on.
func (t *turn) stays(wait time.Duration) bool {
	select {
	case <-time.After(wait):
		return true
	case <-t.leave:
		return false
	}
}

// found is what a commit that failed finds when it reads back, because a
// check-and-set that had succeeded fails when it is repeated.
type found int

const (
	foundPresented found = iota // the token that was presented, or nothing: write again
	foundOurs                   // our new token: it is done
	foundPutBack                // an earlier token: Vault was put back
	foundForgotten              // an authorization from before ours: Vault was put back
	foundOther                  // neither: a new seed has overtaken us
)

// over returns why nothing more can be done about a commit, nil if something can.
func (f found) over() error {
	switch f {
	case foundForgotten:
		return errForgotten
	case foundOther:
		return errOvertaken
	default:
		return nil
	}
}

func readBack(doc, next credential.Grant, presented string) found {
	switch {
	case doc.AccessToken == next.AccessToken && doc.RefreshToken == next.RefreshToken:
		return foundOurs
	case lastSeed(doc) == lastSeed(next) && doc.RefreshToken != next.RefreshToken && doc.Held(next.RefreshToken):
		return foundOurs // and others have followed it
	case doc.State == "" || fits(doc, presented, lastSeed(next)):
		return foundPresented
	case lineageOf(next).After(lineageOf(doc)) && !doc.Held(next.RefreshToken):
		return foundPutBack
	case forgotten(doc, lastSeed(next)):
		return foundForgotten
	default:
		return foundOther
	}
}

// publishGrant is step 8: it publishes what the grant holds, if that is behind.
func (e *Engine) publishGrant(ctx context.Context, t *turn) error {
	if t.grant.AccessToken == "" {
		return nil
	}
	headers, due := t.method.Render(t.cred, t.grant.AccessToken), e.rotationDue(t)
	return e.publish(ctx, t.visit, func(current credential.Token) (credential.Token, bool) {
		generation := t.grant.Generation
		if current.Generation > generation {
			if t.is(current) {
				return current, false
			}
			generation = current.Generation + 1 // it was another method's for a while
		}
		next := credential.Token{
			Status: credential.StatusActive, Headers: maps.Clone(headers),
			AccessToken: t.grant.AccessToken, TokenType: t.grant.TokenType,
			IssuedAt: t.grant.IssuedAt, ExpiresAt: t.grant.ExpiresAt, RenewAt: due, Generation: generation,
		}
		t.describe(&next)
		switch {
		case t.cred.Paused:
			next.Status, next.Message = credential.StatusPaused, pausedMessage(t.entry.ID)
		case next.Expired(time.Now()) && !t.dormant():
			next.Status, next.Message = credential.StatusExpired, "the token had expired before its renewal could be completed; the next one is under way"
		}
		return next, true
	})
}

// setAside puts an answer out of the way that cannot be used, and says so loudly: a new
// authorization has overtaken it, its seal is broken, or no token could be found in it.
func (e *Engine) setAside(ctx context.Context, v *visit, ref escrow.Ref, cause error) {
	e.Observer.Event(EventSetAside, v.cred.Provider)
	log := v.log.Error().AnErr("cause", cause).Str("attempt", ref.Attempt)
	if err := e.Escrow.SetAside(ctx, ref); err != nil {
		log.Err(err).Msg("an answer that cannot be used could not be set aside; it stays where it is")
		return
	}
	log.Msg("an answer that cannot be used was set aside in the spool (folder aside)")
}
