package soak

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
)

// What a run is asked for. The defaults are the small run that CI makes.
var (
	duration    = flag.Duration("for", 32*time.Second, "how long to measure, once the fleet is served")
	credentials = flag.Int("credentials", 280, "size of the fleet")
	visits      = flag.Float64("rate", 30, "visits a second that the lifetimes are chosen for")
	faulty      = flag.Float64("faults", 0.04, "the part of the providers' answers that is a fault")
	seed        = flag.Uint64("seed", 1, "what the faults are drawn from")
	report      = flag.String("report", "", "the `file` for the report, beside the test's log")
)

// TestSoak is the soak: see the package's comment.
func TestSoak(t *testing.T) {
	p := planFor(*credentials, *visits)
	s := newStage(t, p, *seed)
	began := time.Now()
	fleet := s.store(*credentials)
	t.Logf("stored %d credentials in %s; their time passes %.0f times as fast", len(fleet), time.Since(began).Round(time.Second), p.speed)
	for range replicas {
		s.run()
	}
	began = time.Now()
	if matters := s.served(fleet); len(matters) > 0 {
		s.t.Fatalf("%d credentials are not served: %s", len(matters), some(matters))
	}
	first := time.Since(began)

	samples := s.soak(*duration, *faulty)

	began = time.Now()
	matters := s.served(fleet)
	r := run{plan: p, samples: samples, first: first, healed: time.Since(began)}
	text := r.String()
	t.Logf("\n%s", text)
	if *report != "" {
		if err := os.WriteFile(*report, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	for _, failure := range r.failures() {
		t.Error(failure)
	}
	if len(matters) > 0 {
		t.Errorf("%d credentials do not recover: %s", len(matters), some(matters))
	}
	s.await("every answer is in Vault", s.unsettled)
	ledger := s.sims.Checkfront.Ledger()
	for _, result := range []string{providersim.ResultReuse, providersim.ResultExpired} {
		if n := ledger.Count(providersim.Match{Kind: providersim.KindExchange, Result: result}); n > 0 {
			t.Errorf("%d refresh tokens were presented that were no good: %s", n, result)
		}
	}
	s.stop()
}

// some shows a few.
func some(matters map[credential.ID]string) string {
	var lines []string
	for id, matter := range matters {
		if lines = append(lines, id.String()+": "+matter); len(lines) == 5 {
			break
		}
	}
	return strings.Join(lines, "; ")
}

// soak lets the fleet live under faults, and watches.
func (s *stage) soak(d time.Duration, faulty float64) []sample {
	s.t.Helper()
	for _, sim := range s.sims.All() {
		for _, f := range trouble(faulty) {
			defer sim.Inject(f)()
		}
	}
	w := s.watch(d)
	for _, o := range outages(d) {
		<-time.After(time.Until(w.began.Add(o.at)))
		o.make(s, o.lasts)
	}
	samples, missed := w.finish()
	if missed > len(samples)/10 {
		s.t.Errorf("the replicas did not answer %d of %d looks at /metrics", missed, missed+len(samples))
	}
	return samples
}
