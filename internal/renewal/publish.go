package renewal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"refresher/internal/credential"
)

// publishTries bounds how often a publication meets another writer.
const publishTries = 5

// publish writes the token that change makes of the published one. change
// returns false if there is nothing to write. It is asked again if another
// writer comes in between, or too much time, so the generation only ever goes forward.
func (e *Engine) publish(ctx context.Context, v *visit, change func(current credential.Token) (credential.Token, bool)) error {
	ctx = context.WithoutCancel(ctx)
	for range publishTries {
		readAt := time.Now()
		current, version, err := e.published(ctx, v)
		if err != nil {
			return fmt.Errorf("publish the token: %w", err)
		}
		if current.Status == credential.StatusRemoved && v.token.Status != credential.StatusRemoved {
			return nil // the credential was removed while its provider was being asked
		}
		next, ok := change(current)
		if !ok || next.Equal(current) {
			v.adopt(current)
			return nil
		}
		if e.limits.old(readAt, time.Now()) {
			continue
		}
		_, err = e.Tokens.PutToken(ctx, v.entry.ID, next, version)
		if err == nil {
			v.adopt(next)
			return nil
		}
		if !errors.Is(err, credential.ErrConflict) {
			return fmt.Errorf("publish the token: %w", err)
		}
	}
	return fmt.Errorf("publish the token: %w, %d times over", credential.ErrConflict, publishTries)
}

// published reads the published token. One that somebody broke by hand is as good
// as none: it is written anew.
func (e *Engine) published(ctx context.Context, v *visit) (credential.Token, int, error) {
	token, version, err := e.Tokens.Token(ctx, v.entry.ID)
	if credential.KindOf(err) == credential.KindMisconfigured {
		v.log.Error().Err(err).Msg("the published token cannot be read; it is being published anew")
		return credential.Token{}, version, nil
	}
	return token, version, err
}

// adopt takes over what is now published.
func (v *visit) adopt(t credential.Token) {
	v.token = t
	v.memo.Status, v.memo.ExpiresAt = t.Status, t.ExpiresAt
}

// publishStatus changes the published status and message, and nothing else; the
// token goes on serving. It writes only if the status changes, or if what a person
// should do does: a provider's failures are all alike to them.
func (e *Engine) publishStatus(ctx context.Context, v *visit, status credential.Status, message string) error {
	telling := asksPerson(status) || tellsTrouble(message) || tellsTrouble(v.token.Message)
	if v.token.Status == status && (v.token.Message == message || !telling) {
		v.memo.Status = status
		return nil
	}
	before := v.token
	return e.publish(ctx, v, func(t credential.Token) (credential.Token, bool) {
		switch {
		case t.Generation > before.Generation:
			return t, false // another worker has done better meanwhile
		case t.Status != before.Status && awaitsPerson(t.Status) && !awaitsPerson(status):
			return t, false // another worker knows more
		}
		v.describe(&t)
		t.Status, t.Message = status, message
		return t, true
	})
}

func asksPerson(s credential.Status) bool {
	return s == credential.StatusNeedsAuthorization || s == credential.StatusMisconfigured
}

// is reports whether a published token is of the credential's method, as one is of which
// nobody knows better.
func (v *visit) is(t credential.Token) bool {
	return t.Provider == "" || t.Provider == v.cred.Provider && t.Auth == v.cred.Auth
}

// awaitsPerson reports whether nothing but a person changes a status.
func awaitsPerson(s credential.Status) bool { return asksPerson(s) || s == credential.StatusPaused }

// describe fills in whom the token is for.
func (v *visit) describe(t *credential.Token) {
	if v.method.Provider == "" {
		return // the document is so broken that its method is not known
	}
	t.Provider, t.Auth, t.BaseURL = v.cred.Provider, v.cred.Auth, v.method.APIURL(v.cred)
}

// failed settles a failure that says something about the credential: a backoff,
// a status, and a message for a person.
func (e *Engine) failed(ctx context.Context, v *visit, err error) Outcome {
	kind := credential.KindOf(err)
	now := time.Now()
	var due time.Time
	status, message := credential.StatusRetrying, plainly(err)
	switch kind {
	case credential.KindMisconfigured:
		v.memo.Failures++
		status = credential.StatusMisconfigured
		due = now.Add(e.personBackoff(v.memo.Failures))
	case credential.KindRejected:
		v.memo.Refusals++
		if v.memo.Refusals <= len(e.limits.ConfirmRefusals) {
			due = now.Add(e.limits.ConfirmRefusals[v.memo.Refusals-1])
			break
		}
		status = credential.StatusNeedsAuthorization
		due = now.Add(e.limits.AskPersonEvery)
	default:
		v.memo.Failures++
		due = now.Add(e.timing.backoff(v.memo.Failures, credential.RetryAfterOf(err), now, v.token.ExpiresAt, e.random()))
	}
	if status == credential.StatusRetrying {
		if status = v.retryingStatus(now); asksPerson(status) {
			message = v.token.Message // nothing new is known
		}
	}
	if pubErr := e.publishStatus(ctx, v, status, message); pubErr != nil {
		v.log.Warn().Err(pubErr).Str("status", string(status)).Msg("the status could not be published; it will be tried again")
	}
	return Outcome{Result: ResultFailed, Due: v.notPastExpiry(due), Memo: v.memo, Err: err}
}

// personBackoff is the wait before something is tried again that only a person
// can mend; their edit ends it at once.
func (e *Engine) personBackoff(failures int) time.Duration {
	return min(time.Minute<<min(failures, 20), e.limits.AskPersonEvery)
}

// retryingStatus is the status of a credential whose last attempt failed.
func (v *visit) retryingStatus(now time.Time) credential.Status {
	switch {
	case asksPerson(v.token.Status) && !v.edited:
		return v.token.Status // nothing new is known
	case v.token.Generation == 0:
		return credential.StatusPending
	case v.token.Expired(now):
		return credential.StatusExpired
	default:
		return credential.StatusRetrying
	}
}
