package renewal

import (
	"context"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// Rotating reports whether a credential that was last known so has a grant.
func (e *Engine) Rotating(memo credential.Memo) bool {
	_, rotating := e.rotating(memo)
	return rotating
}

func (e *Engine) rotating(memo credential.Memo) (refreshers.Method, bool) {
	method, err := e.Methods.Find(memo.Provider, memo.Auth)
	return method, err == nil && method.Upkeep == refreshers.Rotating
}

// Recall reads what a queue that lost its memory knew of a rotating credential's
// grant, so that its age is watched, and an intent that its owner left open, before
// its next turn comes. One request to Vault. A grant that cannot be understood is the
// next visit's to report.
func (e *Engine) Recall(ctx context.Context, id credential.ID, memo credential.Memo) (credential.Memo, error) {
	method, rotating := e.rotating(memo)
	if !rotating {
		return memo, nil
	}
	grant, _, err := e.Grants.Grant(ctx, id)
	if credential.KindOf(err) == credential.KindMisconfigured {
		return memo, nil
	}
	if err != nil {
		return memo, err
	}
	noteGrant(&memo, grant, method)
	return memo, nil
}

// noteGrant tells the queue what the fleet's gauges need.
func noteGrant(memo *credential.Memo, grant credential.Grant, method refreshers.Method) {
	memo.ForgetGrant()
	if grant.State != credential.GrantDead && !grant.RefreshTokenIssuedAt.IsZero() {
		memo.GrantExpiresAt = grant.RefreshTokenIssuedAt.Add(method.GrantLifetime)
	}
	if grant.Intent != nil {
		memo.IntentSince = grant.Intent.BeganAt
		if grant.Intent.Claim { // what was brought forward rests until it is due
			memo.IntentSince = latest(grant.Intent.BeganAt, grant.Intent.NotBefore)
		}
	}
}
