package renewal

import (
	"testing"
	"time"
	"unsafe"
)

// TestSuspendedMachineHasAnOldReading: a virtual machine was suspended between reading
// and writing. Its monotonic clock stood still meanwhile, and only the wall clock knows.
func TestSuspendedMachineHasAnOldReading(t *testing.T) {
	t.Parallel()
	l, now := Limits{SendDeadline: 15 * time.Second}, time.Now()
	read, before := now.Add(-time.Minute), now
	// See TestSuspendedMachineIsLate in package egress.
	(*[2]int64)(unsafe.Pointer(&read))[1] += int64(time.Minute)
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
