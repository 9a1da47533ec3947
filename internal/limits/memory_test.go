package limits

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// TestMemoryForgets: keys that are not used any more must not fill the memory of
// a process that lives for months.
func TestMemoryForgets(t *testing.T) {
	t.Parallel()
	l := NewMemory()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	take := func(key string, b Budget) Turn {
		turn, err := l.Take(t.Context(), key, b, now, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	for i := range 10 * sweep {
		now = now.Add(time.Second)
		take(fmt.Sprint(i), Budget{Rate: 10, Concurrency: 1, Hold: time.Minute})
		if turn := take("kept", Budget{Rate: 1e-6}); turn.OK != (i == 0) {
			t.Fatalf("take %d: what was still needed was forgotten", i)
		}
	}
	if len(l.keys) > sweep {
		t.Fatalf("%d keys are remembered", len(l.keys))
	}
	take("fine", Budget{Concurrency: 1}).Release(t.Context())
}

func TestBudget(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		budget              Budget
		interval, tolerance int64
	}{
		"none":         {Budget{}, 0, 0},
		"negative":     {Budget{Rate: -1}, 0, 0},
		"five":         {Budget{Rate: 5, Burst: 3}, 200_000, 400_000},
		"three":        {Budget{Rate: 3, Burst: 2}, 333_334, 333_334},
		"very many":    {Budget{Rate: 1e12, Burst: 1}, 1, 0},
		"hardly any":   {Budget{Rate: 1e-300}, rarest.Microseconds(), 0},
		"not a number": {Budget{Rate: math.NaN()}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if i, tol := test.budget.interval(), test.budget.tolerance(); i != test.interval || tol != test.tolerance {
				t.Fatalf("interval %d, tolerance %d, want %d and %d", i, tol, test.interval, test.tolerance)
			}
		})
	}
}
