package limits

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

const (
	// grace is how late one may come for a place without losing it.
	grace = time.Minute
	// soon is how far off a place is at most that only concurrency asks for.
	soon = time.Second
	// defaultHold is the Hold of a budget that says none: longer than any call.
	defaultHold = 3 * time.Minute
	// rarest bounds the time between two calls, against overflow.
	rarest = 365 * 24 * time.Hour
)

// Budget is what a provider bears. The zero value limits nothing. All who take
// from the same key should bring the same budget; a new one holds from its first
// use on.
type Budget struct {
	// Rate is how many calls a second there may be on average; unlimited if zero.
	Rate float64
	// Burst is how many calls may come at once after a time without any, at least
	// one.
	Burst int
	// Concurrency is how many calls may be at work at once; unlimited if zero.
	Concurrency int
	// Hold is how long a holder counts that is not released, because its process
	// died; 3 minutes if zero. A call that takes longer no longer counts either.
	Hold time.Duration
}

// Turn is the answer to Take.
type Turn struct {
	// OK says that the call may be made now.
	OK bool
	// SlotAt is the place of a call that may not be made yet: when to come back,
	// and the slot to come back with. It is a whole number of milliseconds, so that
	// the queue can keep it, and zero if OK.
	SlotAt time.Time
	// Release ends the call's share of the concurrency. It is never nil, may be
	// called more than once and from any goroutine, and works with a context that
	// has ended, within a time limit of its own. If it does not reach Redis, the
	// share ends by itself after Budget.Hold.
	Release func(ctx context.Context)
}

func nothing(context.Context) {}

// limited says whether the budget limits anything.
func (b Budget) limited() bool { return b.Rate > 0 || b.Concurrency > 0 }

// interval is the time between two calls in microseconds, zero if any.
func (b Budget) interval() int64 {
	if !(b.Rate > 0) {
		return 0
	}
	return int64(max(1, math.Ceil(min(1e6/b.Rate, float64(rarest.Microseconds())))))
}

// tolerance is how many microseconds a call may come before its time, for bursts.
func (b Budget) tolerance() int64 { return int64(max(1, b.Burst)-1) * b.interval() }

func (b Budget) hold() time.Duration {
	if b.Hold > 0 {
		return b.Hold
	}
	return defaultHold
}

// retry is after what time to ask again when all are at work: soon, and not
// everybody at once.
func (b Budget) retry() time.Duration {
	longest := min(b.hold()/10, soon)
	return longest/2 + time.Duration(rand.Int64N(int64(longest/2)+1))
}

// micro is a slot in Unix microseconds, zero for none.
func micro(slot time.Time) int64 {
	if slot.IsZero() {
		return 0
	}
	return slot.UnixMicro()
}

// wait is the turn of one who has to come back at a time in Unix microseconds.
func wait(at int64) Turn {
	return Turn{SlotAt: time.UnixMilli((at + 999) / 1000).UTC(), Release: nothing}
}
