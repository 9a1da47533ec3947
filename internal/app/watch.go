package app

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/config"
	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/internal/metrics"
	"refresher/internal/renewal"
	"refresher/refreshers"
	"refresher/scheduler"
	"refresher/vault"
)

// Build says which build of the program this is, for the metrics.
type Build struct{ Version, Commit string }

func newMetrics(c config.Config, registry *refreshers.Registry, build Build) *metrics.Metrics {
	s := metrics.Settings{
		Version: build.Version, Commit: build.Commit, Providers: registry.Providers(), Events: renewal.Events(),
		Degraded: escrow.Places(),
	}
	for _, method := range registry.Methods() {
		if method.Upkeep == refreshers.Rotating {
			s.Rotating = append(s.Rotating, method.Provider)
		}
	}
	if c.Metrics.PerCredential {
		s.PerCredential = c.Metrics.PerCredentialMax
	}
	return metrics.New(s)
}

// watch lets the metrics see what is read when they are asked for.
func (a *App) watch() {
	replica := metrics.Replica{
		Answers: a.escrow.Standing, Disk: a.spoolDisk,
		Workers: a.config.Scheduler.Workers, Busy: a.scheduler.Busy, LastTick: a.scheduler.LastTick,
		FromMemory: a.scheduler.FromMemory, VaultUp: a.vaultReached,
		Breakers: a.admission.open, ConfigHash: config.Hash(a.config),
	}
	if a.redis != nil {
		replica.RedisUp = a.queueUp.Load
	}
	a.metrics.Watch(replica)
	a.metrics.FleetFrom(func(ctx context.Context) (metrics.Fleet, error) {
		entries, partial, err := a.scheduler.Fleet(ctx)
		return metrics.Fleet{Entries: entries, Partial: partial}, err
	})
}

// spoolDisk returns zeros if the disk does not answer.
func (a *App) spoolDisk() (free, size uint64) {
	disk, err := escrow.DiskOf(a.config.Escrow.Dir)
	if err != nil {
		return 0, 0
	}
	return disk.FreeBytes, disk.SizeBytes
}

// vaultReached reports whether the login holds and the last request reached Vault.
func (a *App) vaultReached() bool {
	return a.vaultUp.Load() && a.vault.Healthy(context.Background()) == nil
}

// vaultHooks tells the metrics what the Vault client does.
func (a *App) vaultHooks() vault.Hooks {
	return vault.Hooks{
		OnRequest: func(op string, took time.Duration, err error) {
			a.metrics.VaultRequest(op, vault.Reason(err), took)
			a.vaultUp.Store(!away(err))
		},
		OnLogin: a.metrics.VaultLogin,
		OnClock: func(ahead time.Duration) { a.metrics.ClockSkew("vault", ahead) },
	}
}

// redisWatch is a hook of go-redis that tells the metrics of each command.
type redisWatch struct{ metrics *metrics.Metrics }

// DialHook implements redis.Hook.
func (redisWatch) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (w redisWatch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		w.metrics.RedisCommand(cmd.Name(), time.Since(began), redisFailure(err))
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (w redisWatch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmds)
		took := time.Since(began)
		for _, cmd := range cmds {
			w.metrics.RedisCommand(cmd.Name(), took, redisFailure(cmd.Err()))
		}
		return err
	}
}

// redisFailure returns nil for the errors that are answers: that there is no such
// key, and that a script is to be sent in full.
func redisFailure(err error) error {
	if errors.Is(err, redis.Nil) || err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		return nil
	}
	return err
}

// observer is metrics as the scheduler wants them.
type observer struct{ *metrics.Metrics }

// Renewed implements scheduler.Observer.
func (o observer) Renewed(_ credential.Entry, outcome renewal.Outcome, took, late time.Duration) {
	reason := ""
	if outcome.Err != nil {
		if reason = credential.CodeOf(outcome.Err); reason == "unknown" {
			reason = vault.Reason(outcome.Err)
		}
	}
	o.Renewal(outcome.Memo.Provider, outcome.Memo.Auth, outcome.Result, reason, took, late)
}

// Scanned implements scheduler.Observer.
func (o observer) Scanned(r scheduler.Report, err error) {
	o.Metrics.Scanned(metrics.Scan{
		Entries: r.Entries, Listed: r.Listed, Invalid: len(r.Invalid), Missing: r.Missing,
		Added: r.Added, Dropped: r.Dropped, Edited: r.Edited, Took: r.Took, Err: err,
	})
}
