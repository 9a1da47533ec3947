package renewal

import (
	"slices"
	"testing"
	"time"

	"refresher/internal/credential"
)

// TestClaimsDue: what a process watches is read in an order of its own and not in that of
// a map, so that a simulated world takes the same way again.
func TestClaimsDue(t *testing.T) {
	t.Parallel()
	now := time.Now()
	longAgo, before, justNow := now.Add(-2*time.Minute), now.Add(-time.Minute), now
	claims := []watchedClaim{
		{id: credential.ID{Tenant: "b", Name: "x"}, attempt: "a1", seen: longAgo},
		{id: credential.ID{Tenant: "a", Name: "x"}, attempt: "c3", seen: before},
		{id: credential.ID{Tenant: "a", Name: "y"}, attempt: "a9", seen: before},
		{id: credential.ID{Tenant: "a", Name: "y"}, attempt: "b2", seen: before},
		{id: credential.ID{Tenant: "c", Name: "x"}, attempt: "a0", seen: before},
	}
	e := New(Parts{}, Timing{}, Limits{InFlightBound: 10 * time.Minute})
	e.claims["seen"] = watchedClaim{attempt: "seen", seen: justNow}
	for _, claim := range claims {
		e.claims[claim.attempt] = claim
	}
	for range 20 {
		if due := e.claimsDue(now); !slices.Equal(due, claims) {
			t.Fatalf("got %v, want %v", due, claims)
		}
	}
}
