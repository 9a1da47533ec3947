package soak

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// quarters are what a run is measured in: the first is for warming up, and the
// second is compared with the last.
const quarters = 4

// section is a part of a run.
type section []sample

// median of a level, leaving out where it is not known.
func (x section) median(level func(sample) float64) float64 {
	var values []float64
	for _, one := range x {
		if v := level(one); !math.IsNaN(v) {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// grew returns by how much a counter grew from the first sample to the last.
func (x section) grew(name string, labels ...string) float64 {
	return x[len(x)-1].total(name, labels...) - x[0].total(name, labels...)
}

func (x section) seconds() float64 { return (x[len(x)-1].at - x[0].at).Seconds() }

// perVisit returns how often something was counted for each visit.
func (x section) perVisit(name string) float64 {
	return x.grew(name) / x.grew("refresher_renewals_total")
}

// lateBounds are the buckets of refresher_renewal_lateness_seconds.
var lateBounds = []string{"0.5", "1", "2", "5", "15", "60", "300", "1800"}

// lateness estimates a quantile from the histogram, as Prometheus does.
func (x section) lateness(q float64) float64 {
	bucket := func(le string) float64 {
		return x.grew("refresher_renewal_lateness_seconds_bucket", fmt.Sprintf("le=%q", le))
	}
	rank := q * bucket("+Inf")
	low, below := 0.0, 0.0
	for _, le := range lateBounds {
		var high float64
		_, _ = fmt.Sscan(le, &high)
		n := bucket(le)
		if n >= rank {
			return low + (high-low)*(rank-below)/max(n-below, 1)
		}
		low, below = high, n
	}
	return low
}

// measure is one figure, and what is asked of it.
type measure struct {
	name, format string
	of           func(section) float64
	// part and slack say how much more the last quarter may have than the second:
	// such a part of it, and so much besides. Negative: as much as it likes.
	part, slack float64
	// least and most bound it in each quarter but the first; most 0: without bound.
	least, most float64
}

// anything lets a figure grow.
const anything = -1

const mib = 1 << 20

func (p plan) measures() []measure {
	level := func(of func(sample) float64) func(section) float64 {
		return func(x section) float64 { return x.median(of) }
	}
	worst := func(name string, unit float64) func(section) float64 {
		return level(func(x sample) float64 { return x.worst(name) / unit })
	}
	// A token is renewed when this much of its life is over: one that is later by
	// less than that never expires.
	margin := p.sped(otherLifetime).Seconds() * (1 - renewedAt)
	return []measure{
		{name: "RSS, MiB", format: "%.0f", of: worst("process_resident_memory_bytes", mib), part: .10, slack: 8},
		{name: "heap, MiB", format: "%.1f", of: worst("go_memstats_heap_alloc_bytes", mib), part: .15, slack: 6},
		{name: "goroutines", format: "%.0f", of: worst("go_goroutines", 1), part: .10, slack: 20},
		{name: "open files", format: "%.0f", of: worst("process_open_fds", 1), part: .10, slack: 20},
		{name: "spool, files", format: "%.0f", of: level(func(x sample) float64 { return x.spooled.files }), part: .10, slack: 20},
		// The spent list's file is written anew when half of it is out of date, and is not
		// full before the first tokens in it are.
		{name: "spool, KiB", format: "%.0f", of: level(func(x sample) float64 { return x.spooled.bytes / 1024 }), part: 1, slack: 1024},
		{name: "Redis, MiB", format: "%.1f", of: level(func(x sample) float64 { return x.memory / mib }), part: .25, slack: 4},
		{name: "due now", format: "%.0f", of: level(func(x sample) float64 {
			return x.total("refresher_queue_entries", `due="now"`)
		}), part: .5, slack: p.rate},
		{name: "not active", format: "%.0f", of: level(p.inactive), part: .5, slack: float64(p.credentials) / 50},
		{name: "late p50, s", format: "%.1f", of: func(x section) float64 { return x.lateness(.5) }, part: .5, slack: 1, most: max(margin/4, 2)},
		{name: "late p99, s", format: "%.1f", of: func(x section) float64 { return x.lateness(.99) }, part: anything, most: max(margin, 15)},
		{name: "visits/s", format: "%.0f", of: func(x section) float64 {
			return x.grew("refresher_renewals_total") / x.seconds()
		}, part: anything, least: p.rate * .6},
		{name: "new tokens/s", format: "%.0f", of: func(x section) float64 {
			return x.grew("refresher_renewals_total", `result="renewed"`) / x.seconds()
		}, part: anything},
		{name: "failed, %", format: "%.1f", of: func(x section) float64 {
			return 100 * x.grew("refresher_renewals_total", `result="failed"`) / x.grew("refresher_renewals_total")
		}, part: anything},
		{name: "Vault/visit", format: "%.1f", of: func(x section) float64 { return x.perVisit("refresher_vault_requests_total") }, part: .2, slack: 1},
		{name: "Redis/visit", format: "%.1f", of: func(x section) float64 { return x.perVisit("refresher_redis_commands_total") }, part: .2, slack: 1},
		{name: "Vault, ms", format: "%.0f", of: func(x section) float64 {
			return 1000 * x.grew("refresher_vault_request_duration_seconds_sum") / x.grew("refresher_vault_request_duration_seconds_count")
		}, part: anything},
	}
}

// inactive is how many credentials have no token that serves by the fleet's gauges.
func (p plan) inactive(x sample) float64 {
	all := x.total("refresher_credentials")
	if all == 0 {
		return math.NaN() // nobody has scanned yet
	}
	return all - x.total("refresher_credentials", `status="active"`)
}

// run is a run's samples, for its report.
type run struct {
	plan    plan
	samples section
	first   time.Duration // until all were served at first
	healed  time.Duration // until all were well after the last fault
}

// parts cuts the samples into so many of the same length in time. Each ends with
// the sample that the next one begins with, so that nothing falls between.
func (r run) parts(n int) []section {
	end := r.samples[len(r.samples)-1].at + 1
	list := make([]section, n)
	for i := range n {
		for _, x := range r.samples {
			if x.at >= end*time.Duration(i)/time.Duration(n) && (len(list[i]) == 0 || list[i][len(list[i])-1].at < end*time.Duration(i+1)/time.Duration(n)) {
				list[i] = append(list[i], x)
			}
		}
	}
	return list
}

// failures says what was not as it should be.
func (r run) failures() []string {
	var failures []string
	parts := r.parts(quarters)
	for _, m := range r.plan.measures() {
		before, after := m.of(parts[1]), m.of(parts[quarters-1])
		if limit := m.limit(before); !(after <= limit) {
			failures = append(failures, fmt.Sprintf("%s grew from "+m.format+" in the second quarter to "+m.format+" in the last, allowed are "+m.format, m.name, before, after, limit))
		}
		for i, part := range parts[1:] {
			if v := m.of(part); !(v >= m.least) || m.most > 0 && v > m.most {
				failures = append(failures, fmt.Sprintf("%s was "+m.format+" in quarter %d, allowed are "+m.format+" to "+m.format, m.name, v, i+2, m.least, m.most))
			}
		}
	}
	return failures
}

// limit returns how much the last quarter may have if the second had so much.
func (m measure) limit(before float64) float64 {
	if m.part < 0 {
		return math.MaxFloat64
	}
	return before*(1+m.part) + m.slack
}

// String is the report, in Markdown.
func (r run) String() string {
	var b strings.Builder
	last := r.samples[len(r.samples)-1]
	fmt.Fprintf(&b, "%d credentials on %d replicas for %s under faults; their time passed %.0f times as fast (an access token of Checkfront's lived %s). "+
		"All were served for the first time after %s, and well again %s after the last fault.\n\n",
		r.plan.credentials, replicas, last.at.Round(time.Second), r.plan.speed, r.plan.sped(accessLifetime).Round(time.Second),
		r.first.Round(100*time.Millisecond), r.healed.Round(100*time.Millisecond))
	measures := r.plan.measures()
	names, rules := []string{"until"}, []string{"---:"}
	for _, m := range measures {
		names, rules = append(names, m.name), append(rules, "---:")
	}
	row(&b, names)
	row(&b, rules)
	for _, part := range r.parts(2 * quarters) {
		cells := []string{part[len(part)-1].at.Round(time.Second).String()}
		for _, m := range measures {
			cells = append(cells, fmt.Sprintf(m.format, m.of(part)))
		}
		row(&b, cells)
	}
	b.WriteString("\n")
	row(&b, []string{"figure", "2nd quarter", "last quarter", "at most"})
	row(&b, []string{"---", "---:", "---:", "---:"})
	parts := r.parts(quarters)
	for _, m := range measures {
		if m.part < 0 {
			continue
		}
		before := m.of(parts[1])
		row(&b, []string{m.name, fmt.Sprintf(m.format, before), fmt.Sprintf(m.format, m.of(parts[quarters-1])), fmt.Sprintf(m.format, m.limit(before))})
	}
	return b.String()
}

func row(b *strings.Builder, cells []string) { fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | ")) }
