package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"refresher/internal/credential"
	"refresher/internal/queue"
	"refresher/internal/renewal"
)

// job is one claimed entry, and the queue that it goes back to.
type job struct {
	queue.Claimed
	queue Queue
}

// assign gives a job to the worker that is at its tenant, or to a new one. One
// that is being worked on, or waits for it, is left alone: its claim ran out
// because the work takes long.
func (s *Scheduler) assign(ctx context.Context, leases Leases, j job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.assigned[j.ID] {
		return
	}
	s.assigned[j.ID] = true
	jobs, busy := s.tenants[j.ID.Tenant]
	s.tenants[j.ID.Tenant] = append(jobs, j)
	if busy {
		return
	}
	s.workers.Go(func() {
		s.work(ctx, leases, j.ID.Tenant)
		if s.more.Load() {
			s.fill(ctx) // there was more to do than workers
		}
	})
}

// next takes a tenant's next job. Without one the tenant is no longer being
// worked on.
func (s *Scheduler) next(tenant string) (job, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	jobs := s.tenants[tenant]
	if len(jobs) == 0 {
		delete(s.tenants, tenant)
		return job{}, false
	}
	s.tenants[tenant] = jobs[1:]
	return jobs[0], true
}

// work gives one tenant its turn, under its lease.
func (s *Scheduler) work(ctx context.Context, leases Leases, tenant string) {
	lease, err := leases.Acquire(ctx, "tenant:"+tenant)
	switch {
	case errors.Is(err, credential.ErrLeaseHeld):
		s.Observer.LeaseHeld()
	case err != nil:
		s.Log.Warn().Err(err).Str("tenant", tenant).Msg("no lease could be taken; what is due comes back by itself")
	default:
		defer lease.Release(context.WithoutCancel(ctx))
	}
	for {
		j, ok := s.next(tenant)
		if !ok {
			return
		}
		if err != nil || ctx.Err() != nil || !lease.Held() {
			s.putBack(ctx, j)
		} else {
			s.renew(ctx, j)
		}
		s.done(j.ID)
	}
}

// done lets a credential be assigned again.
func (s *Scheduler) done(id credential.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.assigned, id)
}

func (s *Scheduler) renew(ctx context.Context, claimed job) {
	started := time.Now()
	outcome := s.visit(ctx, claimed.Entry)
	s.Observer.Renewed(claimed.Entry, outcome, time.Since(started), started.Sub(claimed.Due))
	s.report(claimed.Entry, outcome, time.Since(started))
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	var err error
	if outcome.Result == renewal.ResultRemoved {
		err = claimed.queue.Remove(detached, claimed.ID)
	} else {
		err = claimed.queue.Schedule(detached, credential.Entry{ID: claimed.ID, Due: outcome.Due, Memo: outcome.Memo}, claimed.Until)
	}
	if err != nil {
		s.Log.Warn().Err(err).Str("tenant", claimed.ID.Tenant).Str("credential", claimed.ID.Name).
			Msg("the next renewal could not be noted; the entry comes back by itself")
	}
}

// visit contains a panic to the credential that it happened at.
func (s *Scheduler) visit(ctx context.Context, entry credential.Entry) (outcome renewal.Outcome) {
	defer func() {
		if s.defect(recover(), entry.ID.String()+" is tried again later") {
			outcome = renewal.Outcome{
				Result: renewal.ResultFailed, Due: time.Now().Add(afterPanic), Memo: entry.Memo,
				Err: &credential.Error{Code: "panic", Err: errors.New("a defect in Refresher")},
			}
		}
	}()
	return s.Renewer.Renew(ctx, entry)
}

// defect logs a panic, if there was one. Its value is not shown: nobody knows
// what it holds.
func (s *Scheduler) defect(p any, consequence string) bool {
	if p == nil {
		return false
	}
	s.Log.Error().Str("panic", fmt.Sprintf("%T", p)).Bytes("stack", debug.Stack()).
		Msg("a defect in Refresher, please report it: " + consequence)
	return true
}

// afterPanic is the wait before a credential is tried again whose visit panicked.
const afterPanic = time.Minute

// storeLimit bounds what is written to the queue on a worker's way out.
const storeLimit = 5 * time.Second

// putBack returns a job that was not worked on. A process that stops leaves it
// due, for others to take at once.
func (s *Scheduler) putBack(ctx context.Context, j job) {
	entry := j.Entry
	if ctx.Err() == nil {
		entry.Due = time.Now().Add(time.Duration(float64(s.settings.LeaseRetry) * (0.5 + rand.Float64())))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	if err := j.queue.Schedule(ctx, entry, j.Until); err != nil {
		s.Log.Debug().Err(err).Str("tenant", j.ID.Tenant).Msg("an entry could not be put back; it comes back by itself")
	}
}
