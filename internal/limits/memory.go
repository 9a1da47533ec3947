package limits

import (
	"context"
	"sync"
	"time"
)

// sweep is after how many calls of Take what is no longer needed is dropped.
const sweep = 1000

// Memory limits calls within one process, as Redis does for all.
type Memory struct {
	mu    sync.Mutex
	keys  map[string]*usage
	takes int
}

// usage is what is remembered of one key. Times are in Unix microseconds.
type usage struct {
	// even is when the next call would come if all came evenly.
	even int64
	// holders are those at work, and when each ceases to count.
	holders map[*int]int64
}

// NewMemory returns limits of which nothing is used.
func NewMemory() *Memory { return &Memory{keys: map[string]*usage{}} }

// Take is Redis.Take. It does not block, ignores the context and returns no error.
func (l *Memory) Take(_ context.Context, key string, b Budget, now, slot time.Time) (Turn, error) {
	if !b.limited() {
		return Turn{OK: true, Release: nothing}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(now.UnixMicro())
	u := l.keys[key]
	if u == nil {
		u = &usage{holders: map[*int]int64{}}
		l.keys[key] = u
	}
	if at := u.charge(b, now.UnixMicro(), micro(slot)); at > now.UnixMicro() {
		return wait(at), nil
	}
	if b.Concurrency <= 0 {
		return Turn{OK: true, Release: nothing}, nil
	}
	u.purge(now.UnixMicro())
	if len(u.holders) >= b.Concurrency {
		return wait(now.Add(b.retry()).UnixMicro()), nil
	}
	holder := new(int)
	u.holders[holder] = now.Add(b.hold()).UnixMicro()
	return Turn{OK: true, Release: func(context.Context) {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(u.holders, holder)
	}}, nil
}

// charge says when the rate lets the call be made, and charges the call unless
// its slot was paid for.
func (u *usage) charge(b Budget, now, slot int64) int64 {
	interval := b.interval()
	switch {
	case interval == 0:
		return now
	case slot > now && slot <= max(u.even, now+soon.Microseconds()):
		return slot
	case slot != 0 && slot <= now && now-slot < grace.Microseconds():
		return now
	}
	u.even = max(u.even, now)
	at := u.even - b.tolerance()
	u.even += interval
	return at
}

// purge drops the holders that no longer count.
func (u *usage) purge(now int64) {
	for h, end := range u.holders {
		if end <= now {
			delete(u.holders, h)
		}
	}
}

// forget drops, from time to time, the keys of which nothing is used.
func (l *Memory) forget(now int64) {
	if l.takes++; l.takes%sweep != 0 {
		return
	}
	for key, u := range l.keys {
		if u.purge(now); u.even <= now && len(u.holders) == 0 {
			delete(l.keys, key)
		}
	}
}
