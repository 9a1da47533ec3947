package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLog: a process that panicked is found.
func TestLog(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "replica.log")
	for text, want := range map[string]int{
		`{"level":"info","message":"panic: is only spoken of"}` + "\n":                           0,
		"{}\npanic: runtime error: index out of range\n\ngoroutine 7 [running]:\n":               1,
		`{"level":"error","message":"a panic was caught; this is a defect in Refresher"}` + "\n": 1,
	} {
		if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		v := &verdict{}
		if v.judgeLog(&replica{log: log}, 0); len(v.Failures) != want {
			t.Errorf("%q: failures are %v, want %d", text, v.Failures, want)
		}
	}
}

// TestAnnouncements: each grant that is given up is told of in time, and an answer that a probe found
// lost is counted before.
func TestAnnouncements(t *testing.T) {
	t.Parallel()
	// A lost answer, and the probe that finds it; the scene's clock stands at the probe.
	found := func(s *scene) *death {
		s.present("a", "t1", rotated("t2"), undelivered)
		s.present("b", "t1", probe)
		return s.die("t1")
	}
	say := func(at time.Time, lost bool) []announcement {
		return []announcement{{At: at, ID: "acme/main", Lost: lost}}
	}
	for name, c := range map[string]struct {
		scene func(*scene) []announcement
		want  string
	}{
		"counted":            {scene: func(s *scene) []announcement { return say(found(s).At.Add(-time.Second), true) }},
		"not counted":        {want: "I3", scene: func(s *scene) []announcement { found(s); return nil }},
		"only said dead":     {want: "I3", scene: func(s *scene) []announcement { return say(found(s).At.Add(-time.Second), false) }},
		"counted afterwards": {want: "I3", scene: func(s *scene) []announcement { return say(found(s).At.Add(2*time.Second), true) }},
		"counted for an earlier one": {want: "I3", scene: func(s *scene) []announcement {
			before := s.now
			found(s)
			return say(before, true)
		}},
		"counted for another": {want: "I3", scene: func(s *scene) []announcement {
			return []announcement{{At: found(s).At.Add(-time.Second), ID: "beta/main", Lost: true}}
		}},
		"dead otherwise, and said so": {scene: func(s *scene) []announcement {
			s.present("a", "t1")
			return say(s.die("t1").At.Add(10*time.Second), false)
		}},
		"dead otherwise, and published": {scene: func(s *scene) []announcement {
			s.present("a", "t1")
			s.die("t1")
			s.publish(1, 1, "needs_authorization")
			return nil
		}},
		"dead otherwise, and never told": {want: "I7", scene: func(s *scene) []announcement {
			s.present("a", "t1")
			s.die("t1")
			return nil
		}},
		"dead otherwise, and told too late": {want: "I7", scene: func(s *scene) []announcement {
			s.present("a", "t1")
			return say(s.die("t1").At.Add(2*time.Minute), false)
		}},
		"dead otherwise, and a person came": {scene: func(s *scene) []announcement {
			s.present("a", "t1")
			s.die("t1")
			s.authorizedIn = func(string, time.Time, time.Time) bool { return true }
			return nil
		}},
		"a commit that Vault forgot is no lost answer": {scene: func(s *scene) []announcement {
			s.inVault["t2"] = s.now
			return say(found(s).At.Add(time.Second), false)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, v := newScene(), newVerdict()
			said := c.scene(s)
			v.judgeAnnouncements(s.observed, s.circumstances, said)
			if got := strings.Fields(v.lines()); c.want == "" && len(got) > 0 || c.want != "" && (len(got) == 0 || got[0] != c.want) {
				t.Errorf("found %q, want %q", v.lines(), c.want)
			}
		})
	}
}

func TestParseAnnouncement(t *testing.T) {
	t.Parallel()
	const head = `{"level":"error","tenant":"acme","credential":"main","time":"2026-01-02T03:04:05Z",`
	for line, want := range map[string]struct{ known, lost bool }{
		head + `"message":"an answer was lost: nobody received it"}`:                           {true, true},
		head + `"status":"needs_authorization","message":"a person must authorize again"}`:     {true, false},
		head + `"status":"retrying","message":"not renewed; it will be tried again"}`:          {},
		head + `"status":"active","message":"it needs_authorization no more"}`:                 {},
		`refresher: an answer was lost`:                                                        {},
		strings.Replace(head, "error", "debug", 1) + `"message":"an answer was lost perhaps"}`: {},
	} {
		a, ok := parseAnnouncement([]byte(line))
		if ok != want.known || a.Lost != want.lost || ok && (a.ID != "acme/main" || a.At.Second() != 5) {
			t.Errorf("%s: %+v, %t", line, a, ok)
		}
	}
}
