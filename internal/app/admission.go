package app

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"refresher/internal/config"
	"refresher/internal/limits"
	"refresher/internal/metrics"
	"refresher/internal/renewal"
)

// limiter hands out turns; internal/limits has one in Redis and one in memory.
type limiter interface {
	Take(ctx context.Context, key string, b limits.Budget, now, slot time.Time) (limits.Turn, error)
}

// admission is the rate limits and the breakers as the renewal protocol wants them.
type admission struct {
	limits  limiter
	spare   limiter // in memory, for when Redis cannot be asked
	breaker *limits.Breaker
	budgets map[string]limits.Budget
	metrics *metrics.Metrics
	log     zerolog.Logger

	mu   sync.Mutex
	down map[string]string // the provider of each host that failed lately
}

func newAdmission(shared limiter, c config.Config, m *metrics.Metrics, log zerolog.Logger) *admission {
	a := &admission{
		limits: shared, spare: limits.NewMemory(), metrics: m, log: log, budgets: map[string]limits.Budget{}, down: map[string]string{},
		breaker: limits.NewBreaker(limits.BreakerSettings{
			Failures: c.Providers.Breaker.Failures, OpenFor: c.Providers.Breaker.OpenFor, OpenForMax: c.Providers.Breaker.OpenForMax,
		}),
	}
	for provider, l := range c.Providers.Limits() {
		a.budgets[provider] = limits.Budget{
			Rate: l.Rate, Burst: l.Burst, Concurrency: l.Concurrency,
			// A holder that died counts for as long as its call could have taken.
			Hold: c.Renewal.SendDeadline + c.Renewal.RotationTimeout,
		}
	}
	return a
}

// Admit implements renewal.Admission: first the host's breaker, which costs
// nothing, then the limits.
func (a *admission) Admit(ctx context.Context, ask renewal.Ask) renewal.Pass {
	now := time.Now()
	if ok, until := a.breaker.Allow(ask.Host, now); !ok {
		a.metrics.BreakerOpen(ask.Provider)
		return renewal.Pass{At: limits.ReleaseAt(until, now, ask.ExpiresAt), Slot: ask.Slot, Reason: "breaker"}
	}
	key, budget := ask.Provider, a.budgets[ask.Provider]
	if ask.Budget != "" {
		key += ":" + ask.Budget
	}
	turn, err := a.limits.Take(ctx, key, budget, now, ask.Slot)
	if err != nil {
		a.log.Debug().Err(err).Msg("the shared rate limit cannot be asked; this replica keeps to it alone")
		turn, _ = a.spare.Take(ctx, key, budget, now, ask.Slot) // one in memory does not fail
	}
	if !turn.OK {
		a.breaker.Cancel(ask.Host)
		a.metrics.RateLimited(ask.Provider, turn.SlotAt.Sub(now))
		return renewal.Pass{At: turn.SlotAt, Slot: turn.SlotAt, Reason: "rate_limit"}
	}
	var once sync.Once
	return renewal.Pass{OK: true, Done: func(health renewal.Health) {
		once.Do(func() {
			turn.Release(context.WithoutCancel(ctx))
			a.tell(ask, health)
		})
	}}
}

// tell lets the breaker know what a call showed of its host.
func (a *admission) tell(ask renewal.Ask, health renewal.Health) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch health {
	case renewal.HostUp:
		a.breaker.Success(ask.Host, time.Now())
		delete(a.down, ask.Host)
	case renewal.HostDown:
		a.breaker.Failure(ask.Host, time.Now())
		a.down[ask.Host] = ask.Provider
	default:
		a.breaker.Cancel(ask.Host)
	}
}

// open returns how many hosts of each provider are not called at the moment.
func (a *admission) open() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	hosts := map[string]int{}
	for host, state := range a.breaker.States() {
		if state != limits.Closed {
			hosts[a.down[host]]++
		}
	}
	return hosts
}
