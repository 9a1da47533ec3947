package soak

import (
	"fmt"
	"time"

	"refresher/internal/providersim"
)

// The providers' time, before it is sped up. What lives an hour lives three here:
// else the fleet would do little but mint.
const (
	accessLifetime = 14_000 * time.Second
	otherLifetime  = 3 * time.Hour
	touchEvery     = time.Hour
	verifyEvery    = 3 * time.Hour
	// renewedAt is the part of a lifetime after which a token is renewed.
	renewedAt = 0.65
)

// method is one way to log in, with its part of the fleet and the time between two
// visits.
type method struct {
	name   string
	share  int // of shares
	every  time.Duration
	fields func(s *stage, n int) map[string]string
}

const shares = 20

// methods is the fleet: mostly rotating grants, which are what costs the most and
// is lost the most easily.
func methods() []method {
	renewed := func(lifetime time.Duration) time.Duration { return time.Duration(float64(lifetime) * renewedAt) }
	return []method{
		{"checkfront", 8, renewed(accessLifetime), (*stage).checkfront},
		{"pair", 1, verifyEvery, (*stage).pair},
		{"bookeo", 3, verifyEvery, (*stage).bookeo},
		{"session", 2, touchEvery, (*stage).session},
		{"basic", 1, verifyEvery, (*stage).basic},
		{"ankor", 3, renewed(otherLifetime), (*stage).ankor},
		{"kibo", 2, renewed(otherLifetime), (*stage).kibo},
	}
}

// plan is a fleet's size, and how fast its time passes.
type plan struct {
	credentials int
	rate        float64 // visits a second that are expected
	speed       float64
}

// planFor chooses the speed at which a fleet needs so many visits a second.
func planFor(credentials int, rate float64) plan {
	atRest := 0.0
	for _, m := range methods() {
		atRest += float64(credentials) * float64(m.share) / shares / m.every.Seconds()
	}
	return plan{credentials: credentials, rate: rate, speed: rate / atRest}
}

// sped returns how long a time of the providers' takes.
func (p plan) sped(d time.Duration) time.Duration {
	return time.Duration(float64(d) / p.speed).Round(time.Millisecond)
}

// grantLifetime is short, in our time, and so is the spent list's memory, which is as
// long: in a long run it shall be full before the second quarter is over. But an
// answer lost, an outage and a probe or two must find room in it.
func (p plan) grantLifetime() time.Duration {
	return max(p.sped(3*accessLifetime/2), 6*inFlightBound)
}

// options tell the simulators.
func (p plan) options(seed uint64) providersim.Options {
	return providersim.Options{
		Factor: p.speed, Seed: seed, CheckfrontAccess: accessLifetime, CheckfrontGrant: time.Duration(float64(p.grantLifetime()) * p.speed),
		ClicRDVIdle: otherLifetime, AnkorLifetime: otherLifetime, KiboLifetime: otherLifetime,
	}
}

// settings tell the service. The limits of the protocol keep their proportions: the
// in-flight bound is twice the send deadline, the call and the provider's tail.
func (p plan) settings() []string {
	var env []string
	for key, value := range map[string]any{
		"PROVIDERS_CHECKFRONT_ACCESS_LIFETIME": p.sped(accessLifetime), "PROVIDERS_CHECKFRONT_GRANT_LIFETIME": p.grantLifetime(),
		"PROVIDERS_CHECKFRONT_DORMANT_INTERVAL": p.sped(accessLifetime), "PROVIDERS_CHECKFRONT_VERIFY_EVERY": p.sped(verifyEvery),
		"PROVIDERS_BOOKEO_VERIFY_EVERY": p.sped(verifyEvery), "PROVIDERS_CLICRDV_VERIFY_EVERY": p.sped(verifyEvery),
		"PROVIDERS_CLICRDV_IDLE_WINDOW": p.sped(otherLifetime), "PROVIDERS_CLICRDV_TOUCH_EVERY": p.sped(touchEvery),
		"PROVIDERS_CLICRDV_LATEST_TOUCH": p.sped(otherLifetime * 9 / 10),
		"RENEWAL_VAULT_TIMEOUT":          "1s", "RENEWAL_SEND_DEADLINE": "2s", "RENEWAL_ROTATION_TIMEOUT": callLimit, "RENEWAL_CALL_TIMEOUT": callLimit,
		"RENEWAL_IN_FLIGHT_BOUND": inFlightBound, "RENEWAL_TAKEOVER_AFTER": "30s", "RENEWAL_LEASE_TTL": "5s", "RENEWAL_COMMIT_RETRY_MAX": "1s",
		"RENEWAL_CLOCK_SKEW_ALLOWANCE": "0s", "RENEWAL_BACKOFF_MIN": "500ms", "RENEWAL_BACKOFF_MAX": "5s",
		"RENEWAL_SPENT_RETENTION": p.grantLifetime(), "RENEWAL_CONFIRM_REFUSALS": "2s,4s", "RENEWAL_SHUTDOWN_GRACE": "10s",
		"PROVIDERS_BREAKER_OPEN_FOR": "1s", "PROVIDERS_BREAKER_OPEN_FOR_MAX": "3s", "SCHEDULER_SCAN": "@every 30s", "SCHEDULER_SCAN_RATE": 1000,
		"SCHEDULER_REDIS_OUTAGE_AFTER": "2s", "RENEWAL_GRANT_WARNING": "10s", "RENEWAL_GRANT_CRITICAL": "5s", "REDIS_TIMEOUT": "500ms", "EGRESS_ALLOW": "127.0.0.1", "LOG_LEVEL": "warn",
	} {
		env = append(env, fmt.Sprintf("REFRESHER_%s=%v", key, value))
	}
	for _, provider := range []string{"CHECKFRONT", "BOOKEO", "CLICRDV", "ANKOR", "KIBO"} {
		for key, value := range map[string]int{"RATE": 1000, "BURST": 1000, "CONCURRENCY": 64} {
			env = append(env, fmt.Sprintf("REFRESHER_PROVIDERS_%s_%s=%d", provider, key, value))
		}
	}
	return env
}

const (
	// callLimit is how long a call to a provider may take.
	callLimit = 2 * time.Second
	// inFlightBound is after how long a call can no longer have an effect.
	inFlightBound = 10 * time.Second
)

// trouble returns the faults of a simulator, which meet such a part of its requests
// together. None of them loses an answer that only a person could replace.
func trouble(part float64) []providersim.Fault {
	if part <= 0 {
		return nil
	}
	faults := []providersim.Fault{
		{Status: 503},
		{Status: 429, RetryAfter: "1"},
		{CutBefore: true},
		{DelayBefore: 2 * callLimit},
	}
	for i := range faults {
		faults[i].Probability = part / float64(len(faults))
	}
	return faults
}

// outage is a server's being away.
type outage struct {
	at, lasts time.Duration
	make      func(s *stage, lasts time.Duration)
}

const (
	// longest is how long an outage lasts at most.
	longest = 5 * time.Second
	// apart is the least time between two outages that the fleet gets over each.
	apart = 20 * time.Second
)

// outages returns those of a run, in order: in each quarter the same ones at the
// same times, so that quarters can be compared. A short run has everything at once,
// once a quarter.
func outages(d time.Duration) []outage {
	kinds := []func(*stage, time.Duration){(*stage).sealVault, (*stage).cutRedis, (*stage).sealVault, (*stage).emptyRedis}
	if d < quarters*time.Duration(len(kinds))*apart {
		kinds = []func(*stage, time.Duration){(*stage).loseBoth}
	}
	slot := d / time.Duration(quarters*len(kinds))
	list := make([]outage, 0, quarters*len(kinds))
	for i := range quarters * len(kinds) {
		list = append(list, outage{
			at: slot*time.Duration(i) + slot/8, lasts: min(longest, slot/8), make: kinds[i%len(kinds)],
		})
	}
	return list
}
