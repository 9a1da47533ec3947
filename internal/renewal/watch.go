package renewal

import (
	"cmp"
	"context"
	"slices"
	"time"

	"refresher/internal/credential"
)

// watchedClaim is a claim, of this process or another, that this process watches.
type watchedClaim struct {
	id      credential.ID
	attempt string
	// since is when the watch began, seen when Vault was last seen readable.
	since, seen time.Time
}

// watch notes that the claim was still open in what Vault was asked for at a time.
func (e *Engine) watch(id credential.ID, attempt string, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	claim, ok := e.claims[attempt]
	if !ok || e.limits.lapsed(claim, at) {
		claim = watchedClaim{id: id, attempt: attempt, since: time.Now()}
	}
	claim.seen = at
	e.claims[attempt] = claim
}

func (e *Engine) unwatch(attempt string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.claims, attempt)
}

// watched reports for how long Vault was seen readable throughout with the claim open. The
// watch of a process that was restarted, stood still or could not read Vault starts over.
func (e *Engine) watched(attempt string, now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	claim, ok := e.claims[attempt]
	if !ok || e.limits.lapsed(claim, now) {
		return 0
	}
	return now.Sub(claim.since)
}

// lapsed reports whether Vault went unseen for so long that the watch starts over.
func (l Limits) lapsed(claim watchedClaim, now time.Time) bool {
	return age(claim.seen, now) > max(4*l.recheck(), 30*time.Second)
}

// watchClaims reads the grants whose claims this process watches, each as often as
// recheck says. Visits alone would not do: with several replicas each has only a
// part of them. It returns the credentials whose claims it has watched for long enough, so
// that somebody visits them who can go on, and not only those who were restarted.
func (e *Engine) watchClaims(ctx context.Context) (ripe []credential.ID) {
	for _, claim := range e.claimsDue(time.Now()) {
		at := time.Now()
		doc, _, err := e.Grants.Grant(ctx, claim.id)
		switch {
		case err != nil && !e.limits.lapsed(claim, at):
		case err != nil || doc.Intent == nil || doc.Intent.Attempt != claim.attempt:
			e.unwatch(claim.attempt) // too long unseen, or no longer open
		default:
			e.watch(claim.id, claim.attempt, at)
			if e.watched(claim.attempt, at) >= e.limits.InFlightBound && !at.Before(doc.Intent.NotBefore) {
				ripe = append(ripe, claim.id)
			}
		}
	}
	return ripe
}

// claimsDue returns the watched claims that are to be looked at, the one that was seen
// longest ago first: a process that is stopped halfway has done what was most urgent.
func (e *Engine) claimsDue(now time.Time) []watchedClaim {
	e.mu.Lock()
	defer e.mu.Unlock()
	var due []watchedClaim
	for _, claim := range e.claims {
		if age(claim.seen, now) >= e.limits.recheck() {
			due = append(due, claim)
		}
	}
	slices.SortFunc(due, func(a, b watchedClaim) int {
		return cmp.Or(a.seen.Compare(b.seen), cmp.Compare(a.id.String(), b.id.String()), cmp.Compare(a.attempt, b.attempt))
	})
	return due
}
