package config

import (
	"fmt"
	"strings"
)

// unsafeRules are those that the safety of a rotation rests on. They are only
// warned of, loudly: whoever tries the service at another speed sets one limit
// after the other, and knows what the provider on the other side is.
func unsafeRules() []rule {
	return []rule{
		{paths: []string{"renewal.send_deadline", "renewal.vault_timeout"}, shared: true, broken: func(v view) string {
			need := 2 * v.Renewal.VaultTimeout
			if v.Renewal.SendDeadline >= need {
				return ""
			}
			return fmt.Sprintf("%s must be at least %s, which is twice %s: an intent and its read-back take two requests, and after the deadline nothing is sent",
				v.named("renewal.send_deadline"), FormatDuration(need), v.named("renewal.vault_timeout"))
		}},
		{paths: []string{"renewal.in_flight_bound", "renewal.send_deadline", "renewal.rotation_timeout"}, shared: true, broken: func(v view) string {
			need := v.Renewal.SendDeadline + v.Renewal.RotationTimeout
			if v.Renewal.InFlightBound >= need {
				return ""
			}
			return fmt.Sprintf("%s must be at least %s, which is %s and %s together: a probe would be sent while the call before it may still have an effect, and the grant could be lost",
				v.named("renewal.in_flight_bound"), FormatDuration(need), v.named("renewal.send_deadline"), v.named("renewal.rotation_timeout"))
		}},
		less("renewal.in_flight_bound", "renewal.takeover_after", "someone else's intent would be taken over while its call may still have an effect"),
		less("redis.timeout", "renewal.lease_ttl", "a lease would end before it could be extended"),
	}
}

func protocolRules() []rule {
	return []rule{
		atMost("renewal.takeover_after", "renewal.takeover_after_dormant", "with a dormant grant there is less hurry"),
		atMost("providers.checkfront.grant_lifetime", "renewal.spent_retention", "a spent refresh token must be remembered for as long as it could live"),
	}
}

func intervalRules() []rule {
	const tooLate = "a token would be renewed only when it has expired"
	return []rule{
		{paths: []string{"renewal.first_interval_min", "renewal.first_interval_max"}, shared: true, broken: func(v view) string {
			if v.Renewal.FirstIntervalMin <= v.Renewal.FirstIntervalMax {
				return ""
			}
			return fmt.Sprintf("%s must be at most %s", v.named("renewal.first_interval_min"), v.named("renewal.first_interval_max"))
		}},
		{paths: []string{"renewal.first_interval_max"}, broken: func(v view) string {
			if v.Renewal.FirstIntervalMax < 1 {
				return ""
			}
			return "must be less than 100%: " + tooLate
		}},
		{paths: []string{"renewal.interval", "renewal.interval_jitter"}, shared: true, broken: func(v view) string {
			if v.Renewal.Interval+v.Renewal.IntervalJitter < 1 {
				return ""
			}
			return fmt.Sprintf("%s and %s must make less than 100%% together: %s", v.named("renewal.interval"), v.named("renewal.interval_jitter"), tooLate)
		}},
		{paths: []string{"renewal.interval_jitter", "renewal.interval"}, shared: true, broken: func(v view) string {
			if v.Renewal.IntervalJitter < v.Renewal.Interval {
				return ""
			}
			return fmt.Sprintf("%s must be less than %s", v.named("renewal.interval_jitter"), v.named("renewal.interval"))
		}},
		atMost("renewal.backoff_min", "renewal.backoff_max", "the wait grows from the one to the other"),
		less("renewal.grant_critical", "renewal.grant_warning", "the warning comes first"),
	}
}

func providerRules() []rule {
	return []rule{
		less("providers.checkfront.dormant_interval", "providers.checkfront.grant_lifetime", "a dormant grant would die before it is rotated"),
		less("providers.clicrdv.touch_every", "providers.clicrdv.latest_touch", "every session would be taken for ended before it is touched"),
		less("providers.clicrdv.latest_touch", "providers.clicrdv.idle_window", "a session could end just as it is touched"),
		{paths: []string{"providers.ankor.assertion_lifetime", "providers.ankor.clock_skew", "providers.ankor.max_lifetime"}, shared: true, broken: func(v view) string {
			a := v.Providers.Ankor
			if a.AssertionLifetime+a.ClockSkew < a.MaxLifetime {
				return ""
			}
			return fmt.Sprintf("%s and %s must make less than %s together: Ankor refuses an assertion that is valid for longer",
				v.named("providers.ankor.assertion_lifetime"), v.named("providers.ankor.clock_skew"), v.named("providers.ankor.max_lifetime"))
		}},
		atMost("providers.breaker.open_for", "providers.breaker.open_for_max", "the time grows from the one to the other"),
	}
}

// Warnings returns what works and is unwise, for the service to log at its
// start and "config check" to show.
func Warnings(c Config, sources Sources) Problems {
	v := view{&c, newSchema()}
	var warnings Problems
	for _, r := range append(unsafeRules(), []rule{
		{paths: []string{"vault.address"}, broken: plainVault},
		{paths: []string{"renewal.in_flight_bound", "renewal.send_deadline", "renewal.rotation_timeout", "renewal.clock_skew_allowance"}, shared: true, broken: tightBound},
		{paths: []string{"renewal.shutdown_grace", "renewal.send_deadline", "renewal.rotation_timeout"}, shared: true, broken: shortGrace},
		less("renewal.grant_warning", "providers.checkfront.grant_lifetime", "every grant would be a warning at all times"),
	}...) {
		warnings = append(warnings, r.apply(v, sources)...)
	}
	return warnings
}

// tightBound compares the in-flight bound with what the protocol's design asks for:
// twice the deadline, the call and as long again at the provider, and the clocks.
func tightBound(v view) string {
	r := v.Renewal
	want := 2*(r.SendDeadline+2*r.RotationTimeout) + r.ClockSkewAllowance
	if r.InFlightBound >= want {
		return ""
	}
	return fmt.Sprintf("%s is less than %s, which is 2 × (%s + 2 × %s) + %s: a provider that is slow to act on a call may see a probe before that",
		v.named("renewal.in_flight_bound"), FormatDuration(want), v.named("renewal.send_deadline"), v.named("renewal.rotation_timeout"), v.named("renewal.clock_skew_allowance"))
}

func shortGrace(v view) string {
	want := v.Renewal.SendDeadline + v.Renewal.RotationTimeout
	if v.Renewal.ShutdownGrace >= want {
		return ""
	}
	return fmt.Sprintf("%s is less than %s, which is %s and %s together: a stop may cut off a rotation, whose answer is then lost",
		v.named("renewal.shutdown_grace"), FormatDuration(want), v.named("renewal.send_deadline"), v.named("renewal.rotation_timeout"))
}

func plainVault(v view) string {
	address, plain := strings.CutPrefix(v.Vault.Address, "http://")
	for _, local := range []string{"127.", "localhost", "[::1]"} {
		if strings.HasPrefix(address, local) {
			return ""
		}
	}
	if !plain {
		return ""
	}
	return "is plain http: Vault's tokens and every secret cross the network in the clear; use https"
}
