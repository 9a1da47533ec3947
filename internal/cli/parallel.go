package cli

import (
	"context"
	"sync"
	"sync/atomic"
)

// inParallel calls do for every number below n, at most limit at once, and
// returns when all that were begun are done. When ctx ends no more are begun.
func inParallel(ctx context.Context, n, limit int, do func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, limit) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				do(i)
			}
		})
	}
	workers.Wait()
}
