package main

import (
	"fmt"
	"testing"
	"time"

	"refresher/internal/providersim"
)

// TestDelays: a token ends with its expiry or with the next rotation of its grant,
// and the time until another serves counts for the one who mended it.
func TestDelays(t *testing.T) {
	t.Parallel()
	s := newScene()
	began := s.now
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	s.owners["t1"], s.owners["t2"] = "acme/main", "acme/main"
	s.published["acme/main"] = []publication{
		{At: at(0), Status: "active", Access: "a1", Expires: at(14)},
		{At: at(12), Status: "active", Access: "a2", Expires: at(24)}, // rotated at 9: three seconds
		{At: at(26), Status: "active", Access: "a3", Expires: at(40)}, // expired at 24: two
		{At: at(60), Status: "active", Access: "a4", Expires: at(90)}, // dead: twenty
	}
	s.deaths["x"] = &death{At: at(50), ID: "acme/main"}
	rotations := []providersim.Event{{TokenHash: "t1", At: at(9)}, {TokenHash: "t2", At: at(25)}}
	v := &verdict{}
	v.judgeDelays(s.observed, s.circumstances, rotations)
	if v.WorstAlone.took != 3*time.Second || v.WorstAsked.took != 20*time.Second {
		t.Errorf("by itself %s, with a person %s; want 3 s and 20 s", v.WorstAlone, v.WorstAsked)
	}

	// Whoever deletes a credential waits until it is stored again.
	s.removedIn = func(_ string, from, to time.Time) bool { return from.Equal(at(9)) && to.Equal(at(12)) }
	v = &verdict{}
	v.judgeDelays(s.observed, s.circumstances, rotations)
	if v.WorstAlone.took != 2*time.Second {
		t.Errorf("by itself %s with a credential that was deleted meanwhile, want 2 s", v.WorstAlone)
	}
}

// TestOutage: a token that was not renewed in time without Redis is found.
func TestOutage(t *testing.T) {
	t.Parallel()
	v := newVerdict()
	v.WorstAlone.take(expiredAlone, "acme/main")
	if v.judgeOutage(); !v.ok() {
		t.Errorf("failures: %s", v.lines())
	}
	v.WorstAlone.take(expiredAlone+time.Millisecond, "acme/main")
	if v.judgeOutage(); len(v.Failures) != 1 || v.Failures[0].ID != "acme/main" {
		t.Errorf("failures: %s; want one", v.lines())
	}
}

// TestDistribution: the longest delay is seen in proportion.
func TestDistribution(t *testing.T) {
	t.Parallel()
	var d delays
	if d.within(0.5) != "0s" || d.String() != "0s" {
		t.Errorf("%s, half within %s; want nothing", d, d.within(0.5))
	}
	for n := range 200 {
		d.take(time.Duration(n-10)*time.Second, fmt.Sprint(n))
	}
	if d.String() != "3m9s" || d.id != "199" || d.within(0.5) != "1m30s" || d.within(0.99) != "3m8s" || d.within(1) != d.String() {
		t.Errorf("%s of %s, half within %s, 99 %% within %s", d, d.id, d.within(0.5), d.within(0.99))
	}
}
