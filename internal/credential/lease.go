package credential

import "context"

// Lease is a worker's turn at one tenant. It saves work and keeps a provider
// from being called twice at once; the correctness of a rotation never rests on
// it, because a lease can be lost between a look at it and the next step.
type Lease interface {
	// Held reports whether the lease is surely still this worker's: its trusted
	// time, counted from before the request that last extended it was sent, is
	// not over. It does not block.
	Held() bool
	// Release gives the lease back if it is still this worker's. It may be
	// called more than once.
	Release(ctx context.Context)
}
