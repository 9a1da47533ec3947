package main

import (
	"slices"
	"time"

	"refresher/internal/providersim"
)

// delays are how long something took, each time.
type delays struct {
	all  []time.Duration
	took time.Duration // the longest of them
	id   string        // whose that was
}

func (d *delays) take(took time.Duration, id string) {
	took = max(took, 0)
	d.all = append(d.all, took)
	if took > d.took {
		d.took, d.id = took, id
	}
}

// String is the longest.
func (d delays) String() string { return rounded(d.took) }

// within is the time that a part of them did not exceed.
func (d delays) within(part float64) string {
	if len(d.all) == 0 {
		return rounded(0)
	}
	sorted := slices.Sorted(slices.Values(d.all))
	return rounded(sorted[min(int(part*float64(len(sorted))), len(sorted)-1)])
}

func rounded(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }

// How long a commit may wait for its publication.
const (
	publishedWithin  = 2 * time.Minute
	publishedAtWorst = 10 * time.Minute // when Redis has lost the queue
)

// judgeLags is I4: a commit is published in time.
func (v *verdict) judgeLags(o *observed, c circumstances, now time.Time) {
	lags := slices.Clone(o.lags)
	for id, at := range o.committed {
		lags = append(lags, lag{id, at, now.Sub(at)})
	}
	for _, l := range lags {
		v.WorstBehind.take(l.took, l.id)
		limit := publishedWithin
		if c.redisLost(l.committed.Add(-publishedWithin), l.committed.Add(l.took)) {
			limit = publishedAtWorst
		}
		if l.took > limit {
			v.fail("I4", l.id, "a commit was not published for %s", rounded(l.took))
		}
	}
}

// judgeDelays measures for how long published tokens did not serve.
func (v *verdict) judgeDelays(o *observed, c circumstances, rotations []providersim.Event) {
	rotated := map[string][]time.Time{}
	for _, e := range rotations {
		id := o.owners[e.TokenHash]
		rotated[id] = append(rotated[id], e.At)
	}
	for id, all := range o.published {
		var last publication
		for _, p := range all {
			if p.Status != "active" || p.Access == last.Access {
				continue
			}
			if last.Status != "" {
				v.delay(o, c, id, p, lastServed(last, rotated[id]))
			}
			last = p
		}
	}
}

func (v *verdict) delay(o *observed, c circumstances, id string, next publication, ended time.Time) {
	took := next.At.Sub(ended)
	asked := slices.ContainsFunc(deathsOf(o, id), func(d *death) bool { return d.At.After(ended) && d.At.Before(next.At) })
	if asked || c.removedIn(id, ended, next.At) {
		v.WorstAsked.take(took, id)
	} else {
		v.WorstAlone.take(took, id)
	}
}

// lastServed is when a published token ended: at its expiry, or when the provider
// rotated its grant.
func lastServed(p publication, rotations []time.Time) time.Time {
	for _, t := range rotations {
		if t.After(p.At) && t.Before(p.Expires) {
			return t
		}
	}
	return p.Expires
}

// expiredAlone is for how long a published token may be past its expiry when only Redis is
// away: what a busy machine takes.
const expiredAlone = 2 * time.Second

// judgeOutage: without Redis no token runs out.
func (v *verdict) judgeOutage() {
	if v.WorstAlone.took > expiredAlone {
		v.fail("Redis away", v.WorstAlone.id, "its token did not serve for %s, want %s at most", v.WorstAlone, expiredAlone)
	}
}
