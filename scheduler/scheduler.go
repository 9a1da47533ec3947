package scheduler

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/rs/zerolog"

	"refresher/internal/credential"
	"refresher/internal/queue"
	"refresher/internal/renewal"
)

// Queue is the index of what is due when; internal/queue describes its rules.
type Queue interface {
	Claim(ctx context.Context, now time.Time, limit int, visibility time.Duration) (queue.Claim, error)
	Schedule(ctx context.Context, e credential.Entry, until time.Time) error
	Index
}

// Leases hands out one worker's turn at a tenant. credential.ErrLeaseHeld means
// that another has it.
type Leases interface {
	Acquire(ctx context.Context, key string) (credential.Lease, error)
}

// Renewer is the renewal protocol.
type Renewer interface {
	Renew(ctx context.Context, entry credential.Entry) renewal.Outcome
	Drain(ctx context.Context) []credential.ID
	// RedisForgot says that Redis has lost all that it held.
	RedisForgot()
	Custodian
}

// Observer is told what the scheduler did, for metrics. It is called from
// several goroutines.
type Observer interface {
	Renewed(entry credential.Entry, outcome renewal.Outcome, took, late time.Duration)
	Scanned(report Report, err error)
	Tick(claimed int, err error)
	LeaseHeld()
	// Retired is told that another replica has scanned since this one did.
	Retired()
}

// Settings are the scheduler's.
type Settings struct {
	// Renew and Scan are cron specifications, such as "@every 1s".
	Renew, Scan string
	// Workers is how many tenants are worked on at once.
	Workers int
	// Visibility is how long a claimed entry stays out of sight of others.
	Visibility time.Duration
	// LeaseRetry is the wait before a tenant is tried again whose lease another worker holds.
	LeaseRetry time.Duration
	// OutageAfter is how long Redis may be away before this process works from memory.
	OutageAfter time.Duration
	// Grace is how long Run waits for the workers after it is told to stop.
	Grace time.Duration
	Scans ScanSettings
}

// Parts are what a Scheduler is made of.
type Parts struct {
	Queue   Queue
	Leases  Leases
	Renewer Renewer
	Store   Store
	// Spare makes the queue and leases that this process works from while Redis
	// is away; nil if the queue is in memory anyway.
	Spare    func() (Queue, Leases)
	Observer Observer
	Log      zerolog.Logger
}

// Scheduler is one replica's scheduler. Run it once.
type Scheduler struct {
	Parts
	settings Settings
	scans    cron.Schedule
	scanner  *scanner
	outage   *outage

	// tenants has what is still to be done for each tenant that a worker is at.
	mu       sync.Mutex
	tenants  map[string][]job
	assigned map[credential.ID]bool
	workers  sync.WaitGroup
	filling  sync.Mutex
	draining sync.Mutex
	more     atomic.Bool // the last claim was full: there is more to do
	beat     atomic.Int64
	scanNow  chan struct{}
	lastScan atomic.Value // string: the mark of the last scan by anybody
}

// New returns a Scheduler, or an error if a cron specification cannot be read.
func New(parts Parts, settings Settings) (*Scheduler, error) {
	var scans cron.Schedule
	for _, spec := range []string{settings.Renew, settings.Scan} {
		var err error
		if scans, err = cron.ParseStandard(spec); err != nil {
			return nil, fmt.Errorf("cron specification %q: %w", spec, err)
		}
	}
	s := &Scheduler{
		Parts: parts, settings: settings, scans: scans,
		tenants: map[string][]job{}, assigned: map[credential.ID]bool{}, scanNow: make(chan struct{}, 1),
	}
	s.scanner = newScanner(parts.Store, parts.Renewer, settings.Scans, parts.Log)
	s.outage = &outage{after: settings.OutageAfter, spare: parts.Spare, log: parts.Log}
	return s, nil
}

// Run schedules until ctx ends, then waits for the workers, but no longer than
// the grace: what they have sent is answered and sealed by then.
func (s *Scheduler) Run(ctx context.Context) error {
	// Skip stands outside Recover: the other way round, a panic would leave the
	// job marked as running for ever.
	logger := cronLog{s.Log}
	jobs := cron.New(cron.WithChain(cron.SkipIfStillRunning(logger), cron.Recover(logger)), cron.WithLogger(logger))
	if _, err := jobs.AddFunc(s.settings.Renew, func() { s.tick(ctx) }); err != nil {
		return fmt.Errorf("schedule the renewals: %w", err)
	}
	if _, err := jobs.AddFunc(s.settings.Scan, s.scanInTurn); err != nil {
		return fmt.Errorf("schedule the scans: %w", err)
	}
	s.requestScan()
	s.beat.Store(time.Now().UnixNano())
	jobs.Start()
	s.runScans(ctx)
	<-jobs.Stop().Done()
	return s.wait(s.settings.Grace)
}

// LastTick is when the loop last showed that it lives.
func (s *Scheduler) LastTick() time.Time { return time.Unix(0, s.beat.Load()) }

// Busy returns how many tenants are being worked on.
func (s *Scheduler) Busy() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tenants)
}

// tick is the cron entry "renew".
func (s *Scheduler) tick(ctx context.Context) {
	s.beat.Store(time.Now().UnixNano())
	s.workers.Go(func() { s.drain(ctx) })
	s.fill(ctx)
}

// drain commits what an earlier process left in the spool. A drain that waits
// for Vault holds up neither the tick nor a second one.
func (s *Scheduler) drain(ctx context.Context) {
	if !s.draining.TryLock() {
		return
	}
	defer s.draining.Unlock()
	defer func() { s.defect(recover(), "sealed answers stay in the spool") }()
	due := s.Renewer.Drain(ctx)
	for _, id := range due {
		if err := s.source().Expedite(ctx, id, time.Now(), false); err != nil {
			s.Log.Warn().Err(err).Str("tenant", id.Tenant).Str("credential", id.Name).Msg("a recovered credential comes up at its own time")
		}
	}
	if len(due) > 0 {
		s.fill(ctx) // before others: what this process has found out it knows best
	}
}

// fill claims as much as there are free workers, and starts them.
func (s *Scheduler) fill(ctx context.Context) {
	if !s.filling.TryLock() {
		return // someone is at it
	}
	defer s.filling.Unlock()
	free := s.settings.Workers - s.Busy()
	if free <= 0 || ctx.Err() != nil {
		return
	}
	q, leases := s.place(ctx)
	claim, err := q.Claim(ctx, time.Now(), free, s.settings.Visibility)
	if ctx.Err() != nil {
		for _, claimed := range claim.Entries {
			s.putBack(ctx, job{claimed, q}) // stopping: others take it at once
		}
		return
	}
	if q == s.Queue {
		s.outage.note(err, time.Now())
	}
	if claim.Forgot {
		s.Renewer.RedisForgot()
	}
	s.Observer.Tick(len(claim.Entries), err)
	if err != nil {
		s.Log.Warn().Err(err).Msg("the queue cannot be read, or not all of it")
	} else {
		s.noteScan(claim)
	}
	s.more.Store(len(claim.Entries) >= free)
	for _, claimed := range claim.Entries {
		s.assign(ctx, leases, job{claimed, q})
	}
}

// wait waits for the workers.
func (s *Scheduler) wait(limit time.Duration) error {
	done := make(chan struct{})
	go func() {
		s.workers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("%d tenants were still being worked on after %s; what they sent is recovered at the next start", s.Busy(), limit)
	}
}

// cronLog passes cron's own messages on.
type cronLog struct{ log zerolog.Logger }

func (l cronLog) Info(msg string, kv ...any) { l.log.Trace().Fields(kv).Msg("cron: " + msg) }
func (l cronLog) Error(err error, msg string, kv ...any) {
	l.log.Error().Err(err).Fields(kv).Msg("cron: " + msg)
}
