package main

import (
	"fmt"
	"time"

	"refresher/internal/providersim"
)

// pace is how long things last: what the simulators do, and what the service is
// told about it.
type pace struct {
	access, grant, dormant time.Duration // Checkfront's tokens, and a grant kept for later
	idle, touch, latest    time.Duration // ClicRDV's sessions
	mint                   time.Duration // the tokens of Ankor and Kibo
	verify                 time.Duration // between two looks at a key that does not expire
}

// documentedPace is what the providers' documents say, and the service's defaults.
func documentedPace() pace {
	return pace{
		access: 14000 * time.Second, grant: 14 * 24 * time.Hour, dormant: 10 * 24 * time.Hour,
		idle: time.Hour, touch: 20 * time.Minute, latest: 50 * time.Minute,
		mint: time.Hour, verify: 6 * time.Hour,
	}
}

// faster is the pace with every time divided by factor.
func (p pace) faster(factor float64) pace {
	for _, d := range []*time.Duration{&p.access, &p.grant, &p.dormant, &p.idle, &p.touch, &p.latest, &p.mint, &p.verify} {
		*d = time.Duration(float64(*d) / factor).Round(time.Millisecond)
	}
	return p
}

// demoPace suits a person's patience: Checkfront's 14,000 s pass in 10 s and its
// 14 days in 14 minutes; an hour passes in 12 s.
func demoPace() pace {
	p := documentedPace().faster(1400)
	hour := documentedPace().faster(300)
	p.idle, p.touch, p.latest, p.mint = hour.idle, hour.touch, hour.latest, hour.mint
	p.verify = 6 * time.Second
	return p
}

// simulators are the options of simulators that live at this pace.
func (p pace) simulators(o options) providersim.Options {
	return providersim.Options{
		Latency: o.latency, Seed: o.seed,
		CheckfrontAccess: p.access, CheckfrontGrant: p.grant,
		ClicRDVIdle: p.idle, AnkorLifetime: p.mint, KiboLifetime: p.mint,
	}
}

// settings tell the service of the pace, as path=value.
func (p pace) settings() []string {
	var sets []string
	for _, s := range []struct {
		path  string
		value time.Duration
	}{
		{"providers.checkfront.access_lifetime", p.access},
		{"providers.checkfront.grant_lifetime", p.grant},
		{"providers.checkfront.dormant_interval", p.dormant},
		{"providers.checkfront.verify_every", p.verify},
		{"providers.bookeo.verify_every", p.verify},
		{"providers.clicrdv.idle_window", p.idle},
		{"providers.clicrdv.touch_every", p.touch},
		{"providers.clicrdv.latest_touch", p.latest},
		{"providers.clicrdv.verify_every", p.verify},
		{"renewal.grant_warning", p.grant / 2},
		{"renewal.grant_critical", p.grant / 7},
	} {
		sets = append(sets, fmt.Sprintf("%s=%s", s.path, s.value))
	}
	return sets
}

// protocolSettings are the service's time limits for tokens that live for
// seconds. They keep the order that the protocol needs; what they lose against
// the defaults is patience. The service looks once a second for what is due, and
// a disk or a machine that is busy with something else may cost some seconds more:
// a token of 10 s is therefore replaced at 40 % of its life, with about 5 s to spare.
func protocolSettings() []string {
	return []string{
		"renewal.interval=40%", "renewal.first_interval_max=40%",
		"renewal.vault_timeout=1500ms", "renewal.send_deadline=3s", "renewal.rotation_timeout=3s", "renewal.call_timeout=3s",
		"renewal.in_flight_bound=6s", "renewal.clock_skew_allowance=0s", "renewal.lease_ttl=15s", "renewal.shutdown_grace=10s",
		"renewal.backoff_min=1s", "renewal.backoff_max=5s", "renewal.confirm_refusals=2s,4s",
		"scheduler.scan=@every 1s", "scheduler.scan_rate=500", "scheduler.visibility_timeout=20s",
		"providers.breaker.open_for=2s", "providers.breaker.open_for_max=5s",
	}
}
