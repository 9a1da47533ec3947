package leases

import (
	"context"
	"fmt"
	"sync"

	"refresher/internal/credential"
)

// Memory keeps leases among the goroutines of one process. They end when they are
// released and not before: when the process stands still, so do all who hold one.
type Memory struct {
	mu   sync.Mutex
	held map[string]*memoryLease
}

// NewMemory returns leases of which none is held.
func NewMemory() *Memory { return &Memory{held: map[string]*memoryLease{}} }

// Acquire is Redis.Acquire. It does not block, and fails only with
// credential.ErrLeaseHeld or because ctx has ended.
func (m *Memory) Acquire(ctx context.Context, key string) (credential.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("acquire the lease %s: %w", key, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held[key] != nil {
		return nil, fmt.Errorf("acquire the lease %s: %w", key, credential.ErrLeaseHeld)
	}
	l := &memoryLease{leases: m, key: key}
	m.held[key] = l
	return l, nil
}

// memoryLease implements credential.Lease.
type memoryLease struct {
	leases *Memory
	key    string
}

// Held implements credential.Lease.
func (l *memoryLease) Held() bool {
	l.leases.mu.Lock()
	defer l.leases.mu.Unlock()
	return l.leases.held[l.key] == l
}

// Release implements credential.Lease.
func (l *memoryLease) Release(context.Context) {
	l.leases.mu.Lock()
	defer l.leases.mu.Unlock()
	if l.leases.held[l.key] == l {
		delete(l.leases.held, l.key)
	}
}
