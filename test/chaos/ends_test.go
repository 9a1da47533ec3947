package main

import (
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEndings: a process that was asked to stop does so, and one that ends of its own accord has a
// reason that the rig knows of.
func TestEndings(t *testing.T) {
	t.Parallel()
	now := time.Now()
	over := func(k Kind, chance float64, replica int, ago time.Duration) *Fault {
		return &Fault{Draw: Draw{Kind: k, Chance: chance}, Replica: replica, At: now.Add(-ago - time.Second), Until: now.Add(-ago)}
	}
	asked := &Fault{Draw: Draw{Kind: Stop}, At: now.Add(-time.Second)}
	const keys = "read the escrow keys: there is no escrow key"
	full := "make room: " + syscall.ENOSPC.Error()
	for name, c := range map[string]struct {
		ending ending
		fault  *Fault
		fails  bool
		by     string
	}{
		"stopped":                             {ending: ending{Asked: asked, Ran: true}},
		"stopped with an error":               {ending: ending{Asked: asked, Ran: true, Code: 1, How: "exit status 1", Said: "3 tenants were still being worked on"}, fails: true},
		"stopped with an error, Vault sealed": {ending: ending{Asked: asked, Ran: true, Code: 1, How: "exit status 1", Said: "Vault is sealed"}, fault: over(Seal, 0, 2, 0), fails: true},
		"did not stop":                        {ending: ending{Asked: asked, Ran: true, Code: -1, How: "signal: killed"}, fails: true},
		"did not stop when it started":        {ending: ending{Asked: asked, Code: -1, How: "signal: killed"}, fails: true},
		"panicked":                            {ending: ending{Asked: asked, Ran: true, Code: 2, How: "exit status 2"}, fails: true},
		"interrupted when it started":         {ending: ending{Asked: asked, Code: 1, How: "exit status 1", Said: "interrupted"}},
		"stopped before it knew of signals":   {ending: ending{Asked: asked, Code: -1, How: "signal: terminated"}},
		"ignorant of signals later":           {ending: ending{Asked: asked, Ran: true, Code: -1, How: "signal: terminated"}, fails: true},
		"asked when it ended anyway":          {ending: ending{Asked: asked, Code: 1, Said: keys}, fault: over(Key, 0.7, 2, 0)},

		"no keys":                {ending: ending{Code: 1, Said: keys}, fault: over(Key, 0.7, 2, time.Second), by: "keys"},
		"no keys, long ago":      {ending: ending{Code: 1, Said: keys}, fault: over(Key, 0.7, 2, time.Minute), fails: true},
		"a new key":              {ending: ending{Code: 1, Said: keys}, fault: over(Key, 0.3, 2, time.Second), fails: true},
		"its disk was full":      {ending: ending{Code: 1, Said: full}, fault: over(Disk, 0, 1, time.Second), by: "full"},
		"another's disk was":     {ending: ending{Code: 1, Said: full}, fault: over(Disk, 0, 2, time.Second), fails: true},
		"its disk was read-only": {ending: ending{Code: 1, Said: "sweep the spool: " + syscall.EROFS.Error()}, fault: over(Disk, 0, 1, time.Second), by: "read-only"},
		"Vault was sealed":       {ending: ending{Code: 1, Said: "log in to Vault at x: sealed"}, fault: over(Seal, 0, 2, time.Second), by: "Vault"},
		"for no reason":          {ending: ending{Code: 1, Said: "log in to Vault at x: sealed"}, fails: true},
		"after it had run":       {ending: ending{Code: 1, Ran: true, Said: keys}, fault: over(Key, 0.7, 2, 0), fails: true},
		"by a panic":             {ending: ending{Code: 2, Said: keys}, fault: over(Key, 0.7, 2, 0), fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.ending.At, c.ending.Replica = now, 1
			circumstances := circumstances{}
			if c.fault != nil {
				circumstances.faults = []*Fault{c.fault}
			}
			v := newVerdict()
			if v.judgeEndings([]ending{c.ending}, circumstances); v.ok() == c.fails {
				t.Errorf("failures: %v, want some: %t", v.Failures, c.fails)
			}
			found := slices.Collect(maps.Keys(v.Ended))
			if c.by == "" && len(found) > 0 || c.by != "" && (len(found) != 1 || !strings.Contains(found[0], c.by)) {
				t.Errorf("ended by %v, want %q", found, c.by)
			}
		})
	}
}

func TestLastComplaint(t *testing.T) {
	t.Parallel()
	const log = "refresher: the first\n{\"message\":\"refresher: is only spoken of\"}\nrefresher: the last\n  → do this\n"
	if got := lastComplaint(log); got != "the last" {
		t.Errorf("the last complaint is %q", got)
	}
	if got := lastComplaint("{}\n"); got != "" {
		t.Errorf("a complaint was found: %q", got)
	}
}
