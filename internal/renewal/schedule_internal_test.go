package renewal

import (
	"fmt"
	"testing"
	"time"

	"refresher/internal/credential"
)

var plan = Timing{FirstMin: .05, FirstMax: .65, Interval: .65, Jitter: .02, BackoffMin: 5 * time.Second, BackoffMax: 10 * time.Minute}

func TestRenewAtSpreadsTheFirstAndKeepsTheLater(t *testing.T) {
	t.Parallel()
	issued := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	expires := issued.Add(1000 * time.Second)
	buckets := map[int]int{}
	for i := range 1000 {
		id := credential.ID{Tenant: fmt.Sprintf("tenant-%d", i), Name: "a"}
		first := plan.renewAt(id, 1, issued, expires).Sub(issued).Seconds()
		if first < 50 || first > 650 {
			t.Fatalf("first renewal after %.0f s of 1000, want 50 to 650", first)
		}
		buckets[int(first-50)/100]++
		later := plan.renewAt(id, 2+i%7, issued, expires).Sub(issued).Seconds()
		if later < 630 || later > 670 {
			t.Fatalf("later renewal after %.0f s of 1000, want 630 to 670", later)
		}
		if again := plan.renewAt(id, 1, issued, expires).Sub(issued).Seconds(); again != first {
			t.Fatal("the same question has two answers")
		}
	}
	for b := range 6 {
		if n := buckets[b]; n < 100 || n > 240 {
			t.Errorf("sixth %d holds %d of 1000 first renewals, want about 167", b, n)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	in := func(d time.Duration) time.Time { return now.Add(d) }
	for name, tc := range map[string]struct {
		failures   int
		retryAfter time.Duration
		expires    time.Time
		random     float64
		want       time.Duration
	}{
		"first, at most":                  {1, 0, time.Time{}, 1, 5 * time.Second},
		"first, at least":                 {1, 0, time.Time{}, 0, 2500 * time.Millisecond},
		"fourth":                          {4, 0, time.Time{}, 1, 40 * time.Second},
		"never above the maximum":         {40, 0, time.Time{}, 1, 10 * time.Minute},
		"several tries before the expiry": {40, 0, in(8 * time.Minute), 1, 2 * time.Minute},
		"close to the expiry":             {40, 0, in(4 * time.Second), 1, 5 * time.Second},
		"after the expiry":                {40, 0, in(-time.Minute), 1, 10 * time.Minute},
		"the provider's word":             {1, time.Minute, in(8 * time.Minute), .5, time.Minute},
	} {
		if got := plan.backoff(tc.failures, tc.retryAfter, now, tc.expires, tc.random); got != tc.want {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := Limits{InFlightBound: 10 * time.Minute, TakeoverAfter: time.Hour, TakeoverAfterDormant: 24 * time.Hour}
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	intent := func(owner string, began time.Time, change func(*credential.Intent)) credential.Grant {
		i := &credential.Intent{Attempt: "a", Owner: owner, BeganAt: began}
		if change != nil {
			change(i)
		}
		return credential.Grant{State: credential.GrantIntent, Intent: i}
	}
	idle := credential.Grant{State: credential.GrantIdle}
	claim := func(i *credential.Intent) { i.Claim = true }
	putOff := func(since time.Duration) func(*credential.Intent) {
		return func(i *credential.Intent) { i.NotBefore = ago(since) }
	}
	for name, tc := range map[string]struct {
		s    situation
		want step
	}{
		"idle, due":                              {situation{grant: idle, due: ago(time.Second)}, stepPresent},
		"idle, not due":                          {situation{grant: idle, due: now.Add(time.Second)}, stepRest},
		"idle, not due, asked for":               {situation{grant: idle, due: now.Add(time.Second), forced: true}, stepPresent},
		"dead":                                   {situation{grant: credential.Grant{State: credential.GrantDead}, forced: true}, stepDead},
		"own, too early":                         {situation{grant: intent("me", ago(9*time.Minute), nil)}, stepWait},
		"own, ripe":                              {situation{grant: intent("me", ago(10*time.Minute), nil)}, stepProbe},
		"own, ripe, but held":                    {situation{grant: intent("me", ago(time.Hour), nil), held: true}, stepWait},
		"own, refused before the expiry":         {situation{grant: intent("me", ago(time.Hour), func(i *credential.Intent) { i.NotBefore = now.Add(1) })}, stepWait},
		"own claim, not watched":                 {situation{grant: intent("me", ago(time.Hour), claim)}, stepWatch},
		"own claim, too early":                   {situation{grant: intent("me", ago(time.Hour), claim), watched: 9 * time.Minute}, stepWatch},
		"own claim, ripe":                        {situation{grant: intent("me", ago(time.Hour), claim), watched: 10 * time.Minute}, stepProbe},
		"own claim, ripe, but held":              {situation{grant: intent("me", ago(time.Hour), claim), watched: time.Hour, held: true}, stepWait},
		"other's claim, not watched":             {situation{grant: intent("you", ago(2*time.Hour), claim)}, stepWatch},
		"other's claim, ripe":                    {situation{grant: intent("you", ago(10*time.Minute), claim), watched: 10 * time.Minute}, stepProbe},
		"other's, too early":                     {situation{grant: intent("you", ago(59*time.Minute), nil)}, stepWait},
		"other's, ripe":                          {situation{grant: intent("you", ago(time.Hour), nil)}, stepClaim},
		"other's, ripe, token still serves":      {situation{grant: intent("you", ago(time.Hour), nil), tokenExpiresAt: now.Add(1)}, stepWait},
		"other's, dormant":                       {situation{grant: intent("you", ago(23*time.Hour), nil), dormant: true}, stepWait},
		"other's, dormant, ripe":                 {situation{grant: intent("you", ago(24*time.Hour), nil), dormant: true}, stepClaim},
		"other's, put off, its owner's turn":     {situation{grant: intent("you", ago(2*time.Hour), putOff(9*time.Minute))}, stepWait},
		"other's, put off, its owner stays away": {situation{grant: intent("you", ago(2*time.Hour), putOff(10*time.Minute))}, stepClaim},
		"other's, asked for":                     {situation{grant: intent("you", ago(time.Minute), nil), forced: true}, stepWait},
	} {
		tc.s.owner, tc.s.now = "me", now
		if got, _ := l.decide(tc.s); got != tc.want {
			t.Errorf("%s: got step %d, want %d", name, got, tc.want)
		}
	}
}

func TestAnswerSurvivesTheSpool(t *testing.T) {
	t.Parallel()
	for _, plain := range [][]byte{nil, []byte("x"), []byte("{}\n"), []byte(`{"status":0}` + "\n"), {0xff, '\n', 1}} {
		if _, err := decodeAnswer(plain); err == nil {
			t.Errorf("%q was taken for an answer", plain)
		}
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add([]byte(`{"started_at":"2026-01-01T00:00:00Z","status":200}` + "\nbody"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		a, err := decodeAnswer(plain)
		// A time that a far zone puts outside the years 0 to 9999 cannot be written; an
		// answer of ours began just now.
		if year := a.StartedAt.UTC().Year(); err != nil || year < 0 || year > 9999 {
			return
		}
		b, err := decodeAnswer(encodeAnswer(a))
		if err != nil || b.Status != a.Status || string(b.Body) != string(a.Body) || b.Truncated != a.Truncated || b.Lineage != a.Lineage || b.Generation != a.Generation {
			t.Fatalf("an answer does not survive: %+v, %+v, %v", a, b, err)
		}
	})
}
