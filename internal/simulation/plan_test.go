package simulation

import (
	"math"
	"math/rand/v2"
	"time"
)

// The speed of the simulated world. The protocol's limits keep the proportions
// that docs/architecture.md gives them; the tokens live shorter, so that a run
// of an hour sees several rotations of each.
const (
	tick         = 15 * time.Second
	chaosFor     = time.Hour
	vaultTimeout = 5 * time.Second
	redisTimeout = 3 * time.Second

	sendDeadline    = 15 * time.Second
	rotationTimeout = time.Minute
	inFlightBound   = 2*(sendDeadline+2*rotationTimeout) + time.Minute
	takeoverAfter   = 15 * time.Minute
	takeoverDormant = 25 * time.Minute
	leaseTTL        = time.Minute
	grace           = 2 * time.Minute
	accessLifetime  = 20 * time.Minute
	dormantInterval = 30 * time.Minute
	spentRetention  = 14 * 24 * time.Hour

	// Scans do not come at the moment of a tick: who of two goroutines of one process is
	// first then is not for the seed to say. Everything else happens at whole milliseconds.
	scanEvery = 307 * time.Second
	scanRetry = 5007*time.Millisecond + 3100*time.Nanosecond

	// The short waits have jitter, which a seed does not decide (see unhurried).
	storeRetry       = time.Second
	leaseRetry       = time.Second
	backoff          = 2 * time.Second
	longestShortWait = 2 * time.Second
)

// plan is what a seed stands for: the size of the world, how often each kind of
// thing goes wrong, and what happens when. It is all drawn before anything runs;
// later decisions are hashes of the seed and of what they are about (roll), so
// that they do not depend on who comes first.
type plan struct {
	seed        uint64
	replicas    int
	credentials int
	odds        odds
	rng         *rand.Rand
}

// odds are probabilities. A seed has only some of them above zero: what
// always fails everywhere never gets deep into the protocol.
type odds struct {
	kill, pause                               float64 // at an effect of the protocol
	vaultFail, vaultLost, vaultLate           float64 // of a request
	redisFail, redisLost                      float64
	slow                                      float64
	dial, cut, lost, late, busy, sick, garble float64 // at the provider
	noRotation                                float64
	loseSpool, holdSpool                      float64 // when a process was killed
}

func newPlan(seed uint64) *plan {
	p := &plan{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x5eed))}
	p.replicas = 2 + p.rng.IntN(2)
	p.credentials = 2 + p.rng.IntN(3)
	p.odds = odds{
		kill: p.level(.02), pause: p.level(.01),
		vaultFail: p.level(.1), vaultLost: p.level(.1), vaultLate: p.level(.05),
		redisFail: p.level(.1), redisLost: p.level(.1),
		slow: p.level(.1),
		dial: p.level(.2), cut: p.level(.2), lost: p.level(.15), late: p.level(.15), busy: p.level(.2), sick: p.level(.2),
		garble: p.level(.1), noRotation: p.level(.2),
		loseSpool: p.level(.5), holdSpool: p.level(.5),
	}
	return p
}

// level draws a probability up to most; as often as not it is zero.
func (p *plan) level(most float64) float64 {
	on, x := p.rng.Float64() < .5, p.rng.Float64()
	if !on {
		return 0
	}
	return most * math.Pow(10, -x) // from a tenth of most to most
}

// moment draws a time within the chaos.
func (p *plan) moment() time.Duration {
	return time.Duration(p.rng.Int64N(int64(chaosFor) * 95 / 100)).Truncate(time.Millisecond)
}

// between draws a duration.
func (p *plan) between(a, b time.Duration) time.Duration {
	return (a + time.Duration(p.rng.Int64N(int64(b-a)))).Truncate(time.Millisecond)
}

// roll returns a number in [0, 1) that depends on the seed and its arguments alone.
func (p *plan) roll(what, key string, n int) float64 {
	h := 14695981039346656037 ^ p.seed*0x9e3779b97f4a7c15
	for _, s := range [...]string{what, "\x00", key} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	h = (h ^ uint64(n)) * 1099511628211
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return float64(h>>11) / (1 << 53)
}

// stretch turns a roll into a duration.
func (p *plan) stretch(a, b time.Duration, what, key string, n int) time.Duration {
	return (a + time.Duration(float64(b-a)*p.roll(what, key, n))).Truncate(time.Millisecond)
}
