package renewal

import (
	"context"
	"time"

	"refresher/internal/credential"
)

// watched is a claim of this process, and when Vault was last seen readable.
type watchedClaim struct {
	id   credential.ID
	seen time.Time
}

// watch begins to watch a claim.
func (e *Engine) watch(id credential.ID, attempt string, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.claims[attempt] = watchedClaim{id, now}
}

func (e *Engine) unwatch(attempt string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.claims, attempt)
}

// watched reports whether Vault was seen readable throughout since the claim was
// made. A process that was restarted has not been watching, and its claim starts
// over.
func (e *Engine) watched(attempt string, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	claim, ok := e.claims[attempt]
	return ok && age(claim.seen, now) <= e.limits.lapse()
}

// lapse is how long Vault may go unseen before a claim starts over.
func (l Limits) lapse() time.Duration { return max(4*l.recheck(), 30*time.Second) }

// watchClaims reads the grants that this process has claimed, each as often as
// recheck says. Visits alone would not do: with several replicas each has only a
// part of them.
func (e *Engine) watchClaims(ctx context.Context) {
	now := time.Now()
	e.mu.Lock()
	due := map[string]watchedClaim{}
	for attempt, claim := range e.claims {
		if age(claim.seen, now) >= e.limits.recheck() {
			due[attempt] = claim
		}
	}
	e.mu.Unlock()
	for attempt, claim := range due {
		doc, _, err := e.Grants.Grant(ctx, claim.id)
		switch {
		case err != nil && age(claim.seen, now) <= e.limits.lapse():
		case err != nil || age(claim.seen, now) > e.limits.lapse() || doc.Intent == nil || doc.Intent.Attempt != attempt:
			e.unwatch(attempt) // too long unseen, or no longer ours
		default:
			e.watch(claim.id, attempt, time.Now())
		}
	}
}
