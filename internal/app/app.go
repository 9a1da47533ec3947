// Package app puts the service together from its configuration, and is the only
// package that sees all the others. cmd/refresher and cmd/demo embed it.
package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"refresher/internal/config"
	"refresher/internal/egress"
	"refresher/internal/escrow"
	"refresher/internal/limits"
	"refresher/internal/metrics"
	"refresher/internal/queue"
	"refresher/internal/renewal"
	"refresher/internal/web"
	"refresher/leases"
	"refresher/scheduler"
	"refresher/vault"
)

// App is the service: one replica of it.
type App struct {
	config    config.Config
	log       zerolog.Logger
	metrics   *metrics.Metrics
	vault     *vault.Client
	redis     redis.UniversalClient // nil if the queue is in memory
	escrow    *escrow.Escrow
	egress    *egress.Client
	admission *admission
	scheduler *scheduler.Scheduler
	vaultUp   atomic.Bool // the last request reached it
	queueUp   atomic.Bool
	once      bool // the tally is kept
	tally     *tally
}

// New logs in to Vault, checks that it may do there what it must, opens the
// spool, and puts everything together. It waits a while for a Vault that is not
// there yet; an error says what to do. Close the App when it is done with.
func New(ctx context.Context, c config.Config, build Build, log zerolog.Logger) (*App, error) {
	registry := Methods(c.Providers)
	a := &App{config: c, log: log, metrics: newMetrics(c, registry, build), tally: &tally{}}
	a.queueUp.Store(true)
	var err error
	if a.egress, err = Egress(c); err != nil {
		return nil, err
	}
	if a.redis, err = Redis(c.Redis); err != nil {
		return nil, err
	}
	if a.redis != nil {
		a.redis.AddHook(redisWatch{a.metrics})
	}
	if err = a.openVault(ctx); err == nil {
		err = a.openEscrow(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.admission = newAdmission(a.limiter(), c, a.metrics, log)
	engine := renewal.New(renewal.Parts{
		Methods: registry, Credentials: a.vault, Grants: a.vault, Tokens: a.vault, Escrow: a.escrow,
		Provider: wayOut{a.egress}, Admission: a.admission,
		Observer: a.metrics, Log: log,
	}, timing(c), protocolLimits(c))
	if a.scheduler, err = a.newScheduler(engine); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.watch()
	return a, nil
}

// openVault logs in to Vault, asks whether the service may do its work there, and
// warns of what is merely unwise.
func (a *App) openVault(ctx context.Context) error {
	err := a.patiently(ctx, func(ctx context.Context) (err error) {
		a.vault, err = vault.Open(ctx, VaultSettings(a.config), a.vaultHooks())
		return err
	})
	if err != nil {
		return fmt.Errorf("log in to Vault at %s: %w", a.config.Vault.Address, err)
	}
	var problems []vault.Problem
	err = a.patiently(ctx, func(ctx context.Context) error {
		problems = a.vault.Check(ctx)
		return vault.CheckError(problems)
	})
	if err != nil {
		return err
	}
	for _, p := range problems {
		a.log.Warn().Str("fix", p.Fix).Msg(p.What)
	}
	return nil
}

func (a *App) openEscrow(ctx context.Context) error {
	settings := escrow.Settings{
		Dir: a.config.Escrow.Dir, Keep: a.config.Renewal.SpentRetention, Keys: escrowKeys{a.vault},
		ProbesApart: a.config.Renewal.InFlightBound - a.config.Renewal.SendDeadline,
		Degraded: func(what string, err error) {
			a.metrics.Degraded(what)
			a.log.Warn().Err(err).Str("what", what).Msg("one of the two places of the escrow failed; the other one stands alone")
		},
	}
	if a.redis != nil {
		settings.Copies = escrow.NewRedisCopies(a.redis, a.config.Redis.KeyPrefix, a.config.Renewal.SpentRetention)
	}
	var err error
	if a.escrow, err = escrow.Open(settings); err != nil {
		return err
	}
	return a.patiently(ctx, a.escrow.Ready)
}

func (a *App) limiter() limiter {
	if a.redis == nil {
		return limits.NewMemory()
	}
	return limits.NewRedis(a.redis, a.config.Redis.KeyPrefix)
}

func (a *App) newScheduler(engine *renewal.Engine) (*scheduler.Scheduler, error) {
	inMemory := func() (scheduler.Queue, scheduler.Leases) { return queue.NewMemory(), leases.NewMemory() }
	parts := scheduler.Parts{Renewer: engine, Store: a.vault, Observer: watching{observer{a.metrics}, a}, Log: a.log}
	if a.redis == nil {
		parts.Queue, parts.Leases = inMemory()
		a.log.Warn().Msg("no Redis is configured: the queue is in memory, and only one replica may run")
	} else {
		parts.Queue = queue.NewRedis(a.redis, a.config.Redis.KeyPrefix, a.config.Redis.Shards)
		parts.Leases = leases.NewRedis(a.redis, a.config.Redis.KeyPrefix, leases.Settings{
			TTL: a.config.Renewal.LeaseTTL, OnLost: func(string) { a.metrics.LeaseLost() },
		})
		parts.Spare = inMemory
	}
	s := a.config.Scheduler
	if s.VisibilityTimeout == 0 {
		s.VisibilityTimeout = a.config.Renewal.LeaseTTL
	}
	return scheduler.New(parts, scheduler.Settings{
		Renew: s.Renew, Scan: s.Scan, Workers: s.Workers, Visibility: s.VisibilityTimeout,
		LeaseRetry: leaseRetry, OutageAfter: s.RedisOutageAfter, Grace: a.config.Renewal.ShutdownGrace,
		Scans: scheduler.ScanSettings{
			Budget: s.ScanBudget, Rate: s.ScanRate, MaxMissing: float64(s.ScanMaxMissing), Retry: storeRetry,
		},
	})
}

const (
	// leaseRetry is the wait before a tenant is tried again whose lease another holds.
	leaseRetry = 5 * time.Second
	// storeRetry is the wait after Vault, Redis or the spool failed.
	storeRetry = 5 * time.Second
	// askPersonEvery is how often a credential that waits for a person is tried again.
	askPersonEvery = time.Hour
)

func timing(c config.Config) renewal.Timing {
	r := c.Renewal
	return renewal.Timing{
		FirstMin: float64(r.FirstIntervalMin), FirstMax: float64(r.FirstIntervalMax),
		Interval: float64(r.Interval), Jitter: float64(r.IntervalJitter),
		BackoffMin: r.BackoffMin, BackoffMax: r.BackoffMax,
	}
}

func protocolLimits(c config.Config) renewal.Limits {
	r := c.Renewal
	return renewal.Limits{
		SendDeadline: r.SendDeadline, RotationTimeout: r.RotationTimeout, InFlightBound: r.InFlightBound,
		TakeoverAfter: r.TakeoverAfter, TakeoverAfterDormant: r.TakeoverAfterDormant, CommitRetryMax: r.CommitRetryMax,
		ConfirmRefusals: r.ConfirmRefusals, AskPersonEvery: askPersonEvery, StoreRetry: storeRetry, ClockSkew: r.ClockSkewAllowance,
	}
}

// Run serves until ctx ends, then stops: what was sent is answered and sealed
// before it returns, within the configured grace. ready, if not nil, is told the address
// of the HTTP server.
func (a *App) Run(ctx context.Context, ready func(address string)) error {
	server, err := web.Listen(a.config.HTTP.Listen, a, a.metrics.Handler())
	if err != nil {
		return err
	}
	a.log.Info().Str("listen", server.Address()).Str("vault", a.config.Vault.Address).
		Bool("redis", a.redis != nil).Str("owner", a.escrow.Owner()).Msg("refresher is running")
	if ready != nil {
		ready(server.Address())
	}
	// The loop ends first; Vault's login and the HTTP server stay for as long as
	// the workers need them.
	outer, stopOuter := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOuter()
	loop, stopLoop := context.WithCancel(ctx)
	defer stopLoop()
	others := make(chan error, 2)
	go func() { others <- a.vault.Run(outer) }()
	go func() {
		err := server.Serve(outer, a.config.HTTP.ShutdownTimeout)
		stopLoop() // without its probes the service is as good as dead
		others <- err
	}()
	err = a.scheduler.Run(loop)
	a.log.Info().Msg("stopped claiming, and what was sent is settled")
	stopOuter()
	for range 2 {
		if otherErr := <-others; otherErr != nil && !errors.Is(otherErr, context.Canceled) {
			err = errors.Join(err, otherErr)
		}
	}
	return err
}

// Summary is what Once did.
type Summary struct{ Renewed, Unchanged, Deferred, Failed int }

// Once renews what is due now, and returns when that is done.
func (a *App) Once(ctx context.Context) (Summary, error) {
	a.once = true
	err := a.scheduler.Once(ctx)
	return a.tally.summary(), err
}

// Live implements web.Status: the loop must have ticked lately.
func (a *App) Live() error {
	if age := time.Since(a.scheduler.LastTick()); age > liveWithin {
		return fmt.Errorf("no tick for %s", age.Round(time.Second))
	}
	return nil
}

// liveWithin allows for a tick that waits for Redis and Vault to time out.
const liveWithin = time.Minute

// Ready implements web.Status.
func (a *App) Ready() []web.Check {
	checks := []web.Check{{Name: "vault", Err: a.vault.Healthy(context.Background())}}
	if a.redis != nil {
		var err error
		if !a.queueUp.Load() {
			err = errors.New("the queue could not be read at the last tick")
		}
		checks = append(checks, web.Check{Name: "redis", Err: err})
	}
	return checks
}

// Close frees the spool and closes what is open. Call it after Run or Once.
func (a *App) Close() error {
	var err error
	if a.escrow != nil {
		err = a.escrow.Close()
	}
	if a.redis != nil {
		err = errors.Join(err, a.redis.Close())
	}
	if a.vault != nil {
		a.vault.Close()
	}
	if a.egress != nil {
		a.egress.Close()
	}
	return err
}
