package renewal

import (
	"context"
	"errors"
	"slices"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
)

// trouble is what can keep a renewal from beginning or going on although Vault works.
type trouble struct {
	cause error
	// code is the reason in the metrics.
	code string
	// message is published. It names no replica, attempt or file, so that it stays the
	// same whoever meets the trouble, however often, and is written once.
	message string
}

// troubles are all of them. Where two are to blame, the first is named.
func troubles() []trouble {
	return []trouble{
		{
			escrow.ErrKeys, "escrow_key",
			"the escrow key is missing from Vault or cannot be read, and without it no answer can be kept or opened: " +
				"undelete it below escrow-keys/ (docs/vault.md), or let the service's policy read it",
		},
		{
			escrow.ErrSpoolFull, "spool_full",
			"a replica's spool (escrow.dir) has no room for the provider's answer, so the refresh token is not sent: " +
				"give its disk room (runbook RefresherNoRoom)",
		},
		{
			escrow.ErrSpool, "spool",
			"a replica's spool (escrow.dir) cannot be read or written, so no answer can be kept: " +
				"mend its folder or disk, and delete nothing there (runbook RefresherNoRoom)",
		},
		{
			escrow.ErrRedis, "redis",
			"Redis cannot be read, and may hold the answer to the last renewal, so the refresh token is not sent again: " +
				"bring Redis back (runbook RefresherRedisUnreachable)",
		},
		{
			escrow.ErrOtherVersion, "other_version",
			"the answer to the last renewal was sealed by another version of Refresher, which alone can open it: " +
				"update the service to that version",
		},
	}
}

// troubleOf returns the trouble that an error is of.
func troubleOf(err error) (trouble, bool) {
	all := troubles()
	at := slices.IndexFunc(all, func(t trouble) bool { return errors.Is(err, t.cause) })
	if at < 0 {
		return trouble{}, false
	}
	return all[at], true
}

// tellsTrouble reports whether a published message is a trouble's.
func tellsTrouble(message string) bool {
	return slices.ContainsFunc(troubles(), func(t trouble) bool { return t.message == message })
}

// plainly returns what may be published of an error.
func plainly(err error) string {
	if held, ok := troubleOf(err); ok {
		return held.message
	}
	return err.Error()
}

// tellTrouble publishes what keeps a rotating credential from being renewed, if it is a trouble:
// nobody who reads Vault would learn of it otherwise. A failure of Vault itself is none, since
// it could not be written down there.
//
// It is published at the first failure, as that of a provider is. What is not due is not visited, so
// that a hiccup is told of what comes due within it, and of no other; of each of these once, and
// the renewal that ends it would have written the token anyway.
func (e *Engine) tellTrouble(ctx context.Context, v *visit, outcome Outcome) Outcome {
	held, ok := troubleOf(outcome.Err)
	if !ok || ctx.Err() != nil { // what a stop has cut short says nothing
		return outcome
	}
	status, message := v.retryingStatus(time.Now()), held.message
	switch {
	case v.cred.Paused:
		status, message = credential.StatusPaused, pausedMessage(v.entry.ID)
	case asksPerson(status):
		message = v.token.Message
	}
	if err := e.publishStatus(ctx, v, status, message); err != nil {
		v.log.Warn().Err(err).Str("status", string(status)).Msg("the status could not be published; it will be tried again")
	}
	outcome.Memo.Status, outcome.Memo.ExpiresAt = v.memo.Status, v.memo.ExpiresAt
	outcome.Err = &credential.Error{Code: held.code, Err: outcome.Err}
	return outcome
}
