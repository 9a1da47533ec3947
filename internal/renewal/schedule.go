package renewal

import (
	"hash/fnv"
	"strconv"
	"time"

	"refresher/internal/credential"
)

// Timing says when a token is renewed, in fractions of its lifetime, and how
// long to wait after a failure.
type Timing struct {
	// FirstMin and FirstMax bound the first interval of a credential, so that a
	// thousand that were imported together spread out.
	FirstMin, FirstMax float64
	// Interval and Jitter are the later ones: Interval ± Jitter.
	Interval, Jitter float64
	// BackoffMin and BackoffMax bound the wait after failures.
	BackoffMin, BackoffMax time.Duration
}

// renewAt returns when a token is to be renewed. It depends on nothing but its
// arguments, so every replica and every restart finds the same moment.
func (t Timing) renewAt(id credential.ID, generation int, issuedAt, expiresAt time.Time) time.Time {
	spread := hashFraction(id, generation)
	fraction := t.Interval + t.Jitter*(2*spread-1)
	if generation <= 1 {
		fraction = t.FirstMin + (t.FirstMax-t.FirstMin)*spread
	}
	return issuedAt.Add(time.Duration(float64(expiresAt.Sub(issuedAt)) * fraction))
}

// after returns interval after from, give or take the jitter.
func (t Timing) after(id credential.ID, generation int, from time.Time, interval time.Duration) time.Time {
	spread := hashFraction(id, generation)
	return from.Add(time.Duration(float64(interval) * (1 + t.Jitter*(2*spread-1))))
}

// hashFraction maps an ID and a number to [0, 1).
func hashFraction(id credential.ID, n int) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id.String() + "#" + strconv.Itoa(n)))
	x := h.Sum64()
	x ^= x >> 33 // FNV's high bits hardly change between neighbours
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

// triesBeforeExpiry is how many attempts should fit into the time that a token
// has left.
const triesBeforeExpiry = 4

// longestWait bounds what a provider may ask for with Retry-After.
const longestWait = time.Hour

// backoff returns how long to wait after the given number of failures in a row:
// exponential with full jitter (random is in [0, 1)), never below half the
// minimum, shortened so that several tries fit before expiresAt and one comes
// right after it, and never shorter than the provider asked for.
func (t Timing) backoff(failures int, retryAfter time.Duration, now, expiresAt time.Time, random float64) time.Duration {
	ceiling := t.BackoffMax
	if shift := max(failures-1, 0); shift < 30 && t.BackoffMin<<shift < ceiling {
		ceiling = t.BackoffMin << shift
	}
	if left := expiresAt.Sub(now); left > 0 {
		ceiling = min(ceiling, max(left/triesBeforeExpiry, t.BackoffMin))
	}
	delay := max(time.Duration(float64(ceiling)*random), t.BackoffMin/2)
	return max(delay, min(retryAfter, longestWait))
}
