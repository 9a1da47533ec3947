package scheduler

import (
	"context"
	"sync"
	"time"

	"refresher/internal/credential"
	"refresher/internal/queue"
)

type contextT = context.Context

// forgetful is an index that loses everything at once, as a Redis without
// persistence does when it restarts.
type forgetful struct {
	mu sync.Mutex
	*queue.Memory
	forgot bool // since the last claim
}

func (f *forgetful) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Memory, f.forgot = queue.NewMemory(), true
}

func (f *forgetful) now() *queue.Memory {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Memory
}

func (f *forgetful) Claim(ctx context.Context, now time.Time, limit int, visibility time.Duration) (queue.Claim, error) {
	c, err := f.now().Claim(ctx, now, limit, visibility)
	f.mu.Lock()
	defer f.mu.Unlock()
	c.Forgot, f.forgot = f.forgot, false
	return c, err
}

func (f *forgetful) Schedule(ctx context.Context, e credential.Entry, until time.Time) error {
	return f.now().Schedule(ctx, e, until)
}

func (f *forgetful) Add(ctx context.Context, entries ...credential.Entry) (int, error) {
	return f.now().Add(ctx, entries...)
}

func (f *forgetful) Entries(ctx context.Context) ([]credential.Entry, error) {
	return f.now().Entries(ctx)
}

func (f *forgetful) MarkBuilt(ctx context.Context, by string) error {
	return f.now().MarkBuilt(ctx, by)
}
