package leases

import (
	"context"
	"sync"
	"time"
)

// store is where leases are kept. Its answers say whether the key has the owner's
// value afterwards; an error leaves that open.
type store interface {
	acquire(ctx context.Context, key, owner string, ttl time.Duration) (bool, error)
	extend(ctx context.Context, key, owner string, ttl time.Duration) (bool, error)
	release(ctx context.Context, key, owner string) error
}

// lease implements credential.Lease over a store. One goroutine extends it until
// it is released or lost.
type lease struct {
	store      store
	settings   Settings
	key, owner string
	stop       context.CancelFunc
	once       sync.Once

	mu sync.Mutex
	// until is when the trust ends.
	until time.Time
	// over is set when the lease was lost or released, and never unset.
	over bool
}

// Held implements credential.Lease.
func (l *lease) Held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.over && time.Now().Before(l.until)
}

// Release implements credential.Lease. A call that comes while another is at it
// waits for that one.
func (l *lease) Release(ctx context.Context) {
	l.once.Do(func() {
		l.finish()
		l.stop()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.settings.Timeout)
		defer cancel()
		// Without an answer the lease expires by itself, which is all that a
		// caller could wait for, too.
		_ = l.store.release(ctx, l.key, l.owner)
	})
}

// keep extends the lease until ctx ends or the lease is lost.
func (l *lease) keep(ctx context.Context) {
	timer := time.NewTimer(l.settings.TTL / 3)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next, ok := l.extend(ctx)
		if !ok {
			if l.finish() && l.settings.OnLost != nil {
				l.settings.OnLost(l.key)
			}
			return
		}
		timer.Reset(next)
	}
}

// extend extends the lease once and says after what time to do so again; false if
// the lease is lost.
func (l *lease) extend(ctx context.Context) (time.Duration, bool) {
	l.mu.Lock()
	until := l.until
	l.mu.Unlock()
	sent := time.Now()
	if !sent.Before(until) {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, min(l.settings.Timeout, until.Sub(sent)))
	defer cancel()
	ours, err := l.store.extend(ctx, l.key, l.owner, l.settings.TTL)
	if err != nil {
		return min(l.settings.TTL/15, max(0, time.Until(until))), true
	}
	if ours {
		l.mu.Lock()
		l.until = l.settings.trust(sent)
		l.mu.Unlock()
	}
	return l.settings.TTL / 3, ours
}

// finish ends the lease for its holder and reports whether it had not ended before.
func (l *lease) finish() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.over
	l.over = true
	return first
}
