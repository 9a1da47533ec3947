package limits

import "time"

const (
	// spread is the time within which those who waited for a host come back.
	spread = 10 * time.Second
	// halfway is the time left that comes back at half of it.
	halfway = time.Hour
)

// ReleaseAt returns when a credential that expires at expiresAt should come back
// that has to wait until a time that Breaker.Allow named: not before until, nor
// before now, and at most ten seconds after. The less time it has left the earlier
// it comes, one that has expired at once, and one that never expires, with a zero
// expiresAt, last. It depends on nothing else.
func ReleaseAt(until, now, expiresAt time.Time) time.Time {
	start := until
	if now.After(start) {
		start = now
	}
	if expiresAt.IsZero() {
		return start.Add(spread)
	}
	left := expiresAt.Sub(start)
	if left <= 0 {
		return start
	}
	return start.Add(time.Duration(float64(spread) * float64(left) / (float64(left) + float64(halfway))))
}
