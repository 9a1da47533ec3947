package renewal

import (
	"context"

	"refresher/internal/credential"
)

// Removed blanks the published token of a credential that is known to be gone.
// The grant of a rotating method is left as it is: storing the credential again
// brings it back to life. The caller drops the entry from the queue if the Result is
// ResultRemoved.
func (e *Engine) Removed(ctx context.Context, entry credential.Entry) Outcome {
	v := e.newVisit(entry)
	err := e.publish(ctx, v, func(current credential.Token) (credential.Token, bool) {
		if current.Status == "" {
			return current, false // nothing was ever published
		}
		return credential.Token{
			Provider: current.Provider, Auth: current.Auth, Status: credential.StatusRemoved,
			Generation: current.Generation, Message: "the credential was removed from Vault",
		}, true
	})
	if err != nil {
		return e.storeFailed(v, err)
	}
	return Outcome{Result: ResultRemoved, Memo: v.memo}
}
