package soak

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// made returns the samples of a run that was as it should be, but for what change
// does to each.
func made(p plan, change func(at float64, r reading)) []sample {
	var samples []sample
	for i := range looks {
		at := float64(i) / looks
		r := reading{
			"process_resident_memory_bytes": 60 * mib, "go_memstats_heap_alloc_bytes": 20 * mib, "go_goroutines": 100, "process_open_fds": 40,
			`refresher_queue_entries{due="now"}`: 3, `refresher_credentials{status="active"}`: float64(p.credentials),
			`refresher_renewals_total{result="renewed"}`: 600 * p.rate * at,
			"refresher_vault_requests_total":             600 * p.rate * at * 7, "refresher_redis_commands_total": 600 * p.rate * at * 8,
			`refresher_renewal_lateness_seconds_bucket{le="+Inf"}`: 600 * p.rate * at,
			"refresher_vault_request_duration_seconds_sum":         60 * p.rate * at,
			"refresher_vault_request_duration_seconds_count":       600 * p.rate * at * 7,
		}
		for _, le := range lateBounds {
			r[fmt.Sprintf("refresher_renewal_lateness_seconds_bucket{le=%q}", le)] = 600 * p.rate * at
		}
		change(at, r)
		samples = append(samples, sample{at: time.Duration(at * float64(10*time.Minute)), readings: []reading{r}, memory: 10 * mib})
	}
	return samples
}

// TestWhatGrowsIsFound: a soak that cannot fail would show nothing.
func TestWhatGrowsIsFound(t *testing.T) {
	p := planFor(10_000, 100)
	for name, test := range map[string]struct {
		change func(at float64, r reading)
		want   string // of the one failure; "" if there is none
	}{
		"all is well": {func(float64, reading) {}, ""},
		"only while it warms up": {func(at float64, r reading) {
			r["go_goroutines"] *= min(1, 4*at)
		}, ""},
		"goroutines": {func(at float64, r reading) { r["go_goroutines"] += 100 * at }, "goroutines grew"},
		"heap":       {func(at float64, r reading) { r["go_memstats_heap_alloc_bytes"] += 30 * mib * at }, "heap, MiB grew"},
		"files":      {func(at float64, r reading) { r["process_open_fds"] += 60 * at }, "open files grew"},
		"the queue":  {func(at float64, r reading) { r[`refresher_queue_entries{due="now"}`] += 500 * at }, "due now grew"},
		"credentials die": {func(at float64, r reading) {
			r[`refresher_credentials{status="active"}`] -= 1000 * at
			r[`refresher_credentials{status="needs_authorization"}`] = 1000 * at
		}, "not active grew"},
		"late": {func(_ float64, r reading) {
			for _, le := range []string{"0.5", "1", "2", "5", "15"} {
				r[fmt.Sprintf("refresher_renewal_lateness_seconds_bucket{le=%q}", le)] *= .9
			}
			r[`refresher_renewal_lateness_seconds_bucket{le="60"}`] *= .98
		}, "late p99, s was"},
		"starved": {func(at float64, r reading) {
			for series := range r {
				if strings.HasPrefix(series, "refresher_renewal") || strings.HasSuffix(series, "_total") {
					r[series] *= .3
				}
			}
		}, "visits/s was"},
		"costs more": {func(at float64, r reading) { r["refresher_vault_requests_total"] *= 1 + at }, "Vault/visit grew"},
	} {
		t.Run(name, func(t *testing.T) {
			failures := run{plan: p, samples: made(p, test.change)}.failures()
			about := slices.DeleteFunc(slices.Clone(failures), func(f string) bool { return test.want != "" && strings.HasPrefix(f, test.want) })
			if len(about) > 0 || (test.want == "") != (len(failures) == 0) {
				t.Errorf("failures are %q, want those of %q", failures, test.want)
			}
		})
	}
}

// TestSpoolsThatGrowAreFound: in the folders of a spool, too.
func TestSpoolsThatGrowAreFound(t *testing.T) {
	p := planFor(10_000, 100)
	samples := made(p, func(float64, reading) {})
	for i := range samples {
		samples[i].spooled = stock{files: float64(10 + i), bytes: float64(i) * mib / 10}
	}
	failures := strings.Join(run{plan: p, samples: samples}.failures(), "; ")
	if !strings.Contains(failures, "spool, files grew") || !strings.Contains(failures, "spool, KiB grew") {
		t.Errorf("failures are %q, want those of the spool", failures)
	}

	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "answers"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"spent", "answers/a", "answers/b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("four"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var s stock
	if s.add(dir); s != (stock{files: 3, bytes: 12}) {
		t.Errorf("the stock is %+v, want 3 files of 12 bytes", s)
	}
}

// TestQuartersAreAlike: each has the same outages at the same times.
func TestQuartersAreAlike(t *testing.T) {
	for _, d := range []time.Duration{32 * time.Second, 10 * time.Minute, 3 * time.Hour} {
		list := outages(d)
		each := len(list) / quarters
		for i, o := range list {
			if first := list[i%each]; o.lasts != first.lasts || o.at != first.at+d/quarters*time.Duration(i/each) || o.at+o.lasts >= d {
				t.Errorf("in %s outage %d is at %s for %s, and the first of its kind at %s for %s", d, i, o.at, o.lasts, first.at, first.lasts)
			}
		}
	}
}

// TestPlan: the fleet is all shares, and asks for the visits that were wanted.
func TestPlan(t *testing.T) {
	p := planFor(10_000, 100)
	dealt, perSecond := 0, 0.0
	for _, m := range methods() {
		dealt += m.share
		perSecond += 10_000 * float64(m.share) / shares / p.sped(m.every).Seconds()
	}
	if dealt != shares || math.Abs(perSecond-100) > .1 {
		t.Errorf("%d of %d shares, %.2f visits a second", dealt, shares, perSecond)
	}
}
