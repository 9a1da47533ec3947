package renewal

import (
	"testing"
	"time"
	"unsafe"

	"refresher/internal/credential"
)

// suspendedFor returns the time d ago as a virtual machine remembers it that was
// suspended since: by its monotonic clock no time has passed.
func suspendedFor(d time.Duration, now time.Time) time.Time {
	then := now.Add(-d)
	// See TestSuspendedMachineIsLate in package egress.
	(*[2]int64)(unsafe.Pointer(&then))[1] += int64(d)
	return then
}

// TestSuspendedMachineWatchedNothing: a claim was not watched while the machine was suspended.
func TestSuspendedMachineWatchedNothing(t *testing.T) {
	t.Parallel()
	e, now := &Engine{claims: map[string]watchedClaim{}, limits: Limits{InFlightBound: 10 * time.Minute}}, time.Now()
	since := now.Add(-5 * time.Minute)
	for name, tc := range map[string]struct {
		seen time.Time
		want time.Duration
	}{
		"seen just now":            {now, 5 * time.Minute},
		"suspended for a second":   {suspendedFor(time.Second, now), 5 * time.Minute},
		"suspended for an hour":    {suspendedFor(time.Hour, now), 0},
		"seen an hour ago":         {now.Add(-time.Hour), 0},
		"the wall clock went back": {now.Round(0).Add(time.Hour), 5 * time.Minute},
	} {
		e.claims["claim"] = watchedClaim{since: since, seen: tc.seen}
		if got := e.watched("claim", now); got != tc.want {
			t.Errorf("%s: watched for %s, want %s", name, got, tc.want)
		}
		e.watch(credential.ID{}, "claim", now)
		if got := max(e.watched("claim", now), 0); got != tc.want {
			t.Errorf("%s: seen again, it was watched for %s, want %s", name, got, tc.want)
		}
	}
}

// TestSuspendedMachineHasAnOldReading: a virtual machine was suspended between reading
// and writing. Its monotonic clock stood still meanwhile, and only the wall clock knows.
func TestSuspendedMachineHasAnOldReading(t *testing.T) {
	t.Parallel()
	l, now := Limits{SendDeadline: 15 * time.Second}, time.Now()
	read, before := suspendedFor(time.Minute, now), now
	(*[2]int64)(unsafe.Pointer(&before))[1] -= int64(time.Minute)
	if now.Sub(read) != 0 || now.Round(0).Sub(read.Round(0)) != time.Minute {
		t.Fatalf("read %v, now %v; want a minute between them by the wall clock alone", read, now)
	}
	for name, tc := range map[string]struct {
		at   time.Time
		want bool
	}{
		"suspended for a minute":                    {read, true},
		"the wall clock was put back for a minute":  {before, true},
		"a minute ago":                              {now.Add(-time.Minute), true},
		"within the deadline":                       {now.Add(-15 * time.Second), false},
		"just now, and the wall clock was put back": {now.Round(0).Add(time.Hour), false},
	} {
		if got := l.old(tc.at, now); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}
