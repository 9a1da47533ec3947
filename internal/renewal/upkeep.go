package renewal

import (
	"context"
	"maps"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// upkeep renews, verifies or touches a credential whose calls may be repeated: a
// lost answer costs one more call and nothing else.
func (e *Engine) upkeep(ctx context.Context, v *visit) Outcome {
	if !v.needsCall() {
		v.memo.Status = v.token.Status
		return Outcome{Result: ResultUnchanged, Due: v.token.RenewAt, Memo: v.memo}
	}
	pass, deferred := e.admit(ctx, v)
	if deferred != nil {
		return *deferred
	}
	defer pass.Done(HostUnknown)
	call := refreshers.Call{Credential: v.cred, Current: v.token, Attempt: randomHex(), HTTP: e.Provider}
	if v.edited {
		call.Current = credential.Token{} // it may have been had with what the person just replaced
	}
	started := time.Now()
	result, err := v.method.Refresher.Renew(ctx, call)
	pass.Done(hostHealth(ctx, err))
	if err != nil {
		return e.failed(ctx, v, err)
	}
	return e.succeeded(ctx, v, result, started)
}

// needsCall reports whether the provider is to be asked. A document that is
// active and not due is left alone, however the entry came up: after a loss of
// Redis all entries come up at once.
func (v *visit) needsCall() bool {
	return v.edited || v.entry.Memo.Forced || v.token.Status != credential.StatusActive || !v.now.Before(v.token.RenewAt)
}

func (e *Engine) succeeded(ctx context.Context, v *visit, result refreshers.Result, started time.Time) Outcome {
	e.warn(v, result.Warnings)
	v.memo.Failures, v.memo.Refusals = 0, 0
	v.entry.Memo.Forced = false // it is done, whatever becomes of the publication
	before := v.token.Generation
	outcome := Outcome{Result: ResultVerified}
	err := e.publish(ctx, v, func(current credential.Token) (credential.Token, bool) {
		if current.Generation > before && current.ExpiresAt.After(result.ExpiresAt) {
			outcome.Due = current.RenewAt // another worker published a younger one meanwhile
			return current, false
		}
		next := current
		v.describe(&next)
		next.Status, next.Message = credential.StatusActive, ""
		next.Headers, next.Query = result.Headers, result.Query
		next.AccessToken, next.TokenType, next.ExpiresAt = result.AccessToken, result.TokenType, result.ExpiresAt
		isNew := result.Renewed || current.Generation == 0 || !sameUse(current, result)
		if isNew {
			next.Generation, next.IssuedAt = current.Generation+1, started.UTC()
			outcome.Result = ResultRenewed
		}
		next.RenewAt = e.nextCall(v, next, started)
		if v.method.Upkeep == refreshers.Static {
			// Verifications are not published: a static key is read again when it is refused.
			outcome.Due, next.RenewAt = next.RenewAt, time.Time{}
			return next, true
		}
		outcome.Due = next.RenewAt
		return next, true
	})
	if err != nil {
		return e.storeFailed(v, err)
	}
	outcome.Memo = v.memo
	return outcome
}

// nextCall returns when the credential needs the next call: by the method's own
// interval, or by the token's lifetime.
func (e *Engine) nextCall(v *visit, t credential.Token, started time.Time) time.Time {
	if v.method.Interval != nil {
		if interval := v.method.Interval(v.cred); interval > 0 {
			return e.timing.after(v.entry.ID, t.Generation, started, interval).UTC()
		}
	}
	return e.timing.renewAt(v.entry.ID, t.Generation, started, t.ExpiresAt).UTC()
}

// sameUse reports whether a reader would put the same on a call.
func sameUse(t credential.Token, r refreshers.Result) bool {
	return maps.Equal(t.Headers, r.Headers) && maps.Equal(t.Query, r.Query)
}

func (e *Engine) warn(v *visit, warnings []string) {
	for _, w := range warnings {
		e.Observer.Event(EventWarning, v.cred.Provider)
		v.log.Warn().Str("provider", v.cred.Provider).Msg(w)
	}
}
