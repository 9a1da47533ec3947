package queue_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"refresher/internal/credential"
	"refresher/internal/queue"
	"refresher/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// index is what both implementations offer.
type index interface {
	Claim(ctx context.Context, now time.Time, limit int, visibility time.Duration) (queue.Claim, error)
	Schedule(ctx context.Context, e credential.Entry, until time.Time) error
	Add(ctx context.Context, entries ...credential.Entry) (int, error)
	Expedite(ctx context.Context, id credential.ID, now time.Time, forced bool) error
	Remove(ctx context.Context, ids ...credential.ID) error
	Entries(ctx context.Context) ([]credential.Entry, error)
	Len(ctx context.Context) (int, error)
	MarkBuilt(ctx context.Context, by string) error
}

var (
	_ index = (*queue.Redis)(nil)
	_ index = (*queue.Memory)(nil)
)

const visibility = 5 * time.Minute

var base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fullMemo has a value in every field.
var fullMemo = credential.Memo{
	Provider: "checkfront", Auth: "oauth2", Status: credential.StatusRetrying, Failures: 3, Refusals: 2,
	CredentialVersion: 12345678901234, CredentialStoredAt: base.Add(-time.Hour), ExpiresAt: base.Add(123456789), GrantExpiresAt: base.Add(time.Hour),
	IntentSince: base.Add(-time.Hour), SlotAt: base.Add(time.Second), Forced: true, Dormant: true,
}

func id(tenant, name string) credential.ID { return credential.ID{Tenant: tenant, Name: name} }

func entry(tenant, name string, due time.Time) credential.Entry {
	return credential.Entry{ID: id(tenant, name), Due: due, Memo: credential.Memo{Provider: "ankor"}}
}

// fleet is n entries of n/10 tenants, one due each second from base on.
func fleet(n int) []credential.Entry {
	all := make([]credential.Entry, n)
	for i := range all {
		all[i] = entry(fmt.Sprintf("tenant-%d", i/10), fmt.Sprintf("cred-%d", i), base.Add(time.Duration(i)*time.Second))
	}
	return all
}

// probe wraps an index so that each step of a test is one line.
type probe struct {
	index
	t *testing.T
}

func (p probe) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p probe) add(want int, entries ...credential.Entry) {
	p.t.Helper()
	added, err := p.Add(p.t.Context(), entries...)
	p.check(err)
	if added != want {
		p.t.Fatalf("added %d, want %d", added, want)
	}
}

func (p probe) claim(now time.Time, limit int) []queue.Claimed {
	p.t.Helper()
	c, err := p.Claim(p.t.Context(), now, limit, visibility)
	p.check(err)
	return c.Entries
}

// claimOne claims at now and wants that one entry and no other.
func (p probe) claimOne(now time.Time, want credential.ID) queue.Claimed {
	p.t.Helper()
	got := p.claim(now, 100)
	if len(got) != 1 || got[0].ID != want {
		p.t.Fatalf("claimed %v at %s, want %s alone", ids(got), now.Sub(base), want)
	}
	return got[0]
}

func (p probe) claimNone(now time.Time) {
	p.t.Helper()
	if got := p.claim(now, 100); len(got) != 0 {
		p.t.Fatalf("claimed %v at %s, want nothing", ids(got), now.Sub(base))
	}
}

// only returns the one entry that there is.
func (p probe) only() credential.Entry {
	p.t.Helper()
	all, err := p.Entries(p.t.Context())
	p.check(err)
	if len(all) != 1 {
		p.t.Fatalf("%d entries, want 1", len(all))
	}
	return all[0]
}

func ids(claimed []queue.Claimed) []string {
	out := make([]string, len(claimed))
	for i, c := range claimed {
		out[i] = c.ID.String()
	}
	return out
}

func TestMemory(t *testing.T) {
	t.Parallel()
	conformance(t, func() index { return queue.NewMemory() })
}

func TestRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) {
			t.Parallel()
			conformance(t, func() index { return queue.NewRedis(client, newPrefix(), shards) })
		})
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	client := redistest.StartCluster(t).Client(t)
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) {
			t.Parallel()
			conformance(t, func() index { return queue.NewRedis(client, newPrefix(), shards) })
		})
	}
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	client := redistest.StartSentinel(t).Client(t)
	conformance(t, func() index { return queue.NewRedis(client, newPrefix(), 1) })
}

// conformance is what every index must do; empty makes one with nothing in it.
func conformance(t *testing.T, empty func() index) {
	for name, test := range map[string]func(probe){
		"claims in order of due, up to the limit": claimsInOrder,
		"a claim hides the entry until it ends":   claimHides,
		"a claim keeps the due time":              claimKeepsDue,
		"the marker of a built index":             marker,
		"every field of a memo is kept":           memoKept,
		"schedule sets due and memo":              scheduleSets,
		"schedule keeps what was expedited":       scheduleKeepsExpedited,
		"schedule without until":                  scheduleUnconditional,
		"what was removed stays removed":          removedStaysRemoved,
		"expedite moves forward, never back":      expediteMoves,
		"expedite clears counts and forces":       expediteMemo,
		"expedite adds what is unknown":           expediteAdds,
		"add leaves what is known":                addKnown,
		"thousands of entries":                    thousands,
		"each entry is claimed once":              claimedOnce,
		"a memo that cannot be kept is an error":  badMemo,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(probe{index: empty(), t: t})
		})
	}
}

func claimsInOrder(p probe) {
	p.add(4, entry("b", "late", base.Add(3*time.Second)), entry("a", "first", base),
		entry("c", "second", base.Add(time.Second)), entry("a", "future", base.Add(time.Hour)))

	got := append(p.claim(base.Add(time.Minute), 2), p.claim(base.Add(time.Minute), 2)...)
	if len(got) != 3 {
		p.t.Fatalf("claimed %v, want the three that are due", ids(got))
	}
	p.claimNone(base.Add(time.Minute))

	// Together they come in order; with shards that is only so within one claim.
	all := p.claim(base.Add(2*visibility), 10)
	if len(all) != 3 || !slices.IsSortedFunc(all, func(a, b queue.Claimed) int { return a.Due.Compare(b.Due) }) {
		p.t.Fatalf("claimed %v, want three in the order of their due times", ids(all))
	}
	p.claimNone(base.Add(2 * visibility).Add(visibility - time.Millisecond))
	if all := p.claim(base.Add(time.Hour), 10); len(all) != 4 || all[3].ID != id("a", "future") {
		p.t.Fatalf("claimed %v, want all four, the one that was due last at the end", ids(all))
	}
	if got := p.claim(base.Add(24*time.Hour), 0); len(got) != 0 {
		p.t.Fatalf("claimed %v with no place for any", ids(got))
	}
}

func claimHides(p probe) {
	p.add(1, entry("a", "x", base))
	p.claimNone(base.Add(-time.Millisecond))
	c := p.claimOne(base, id("a", "x"))
	if !c.Until.Equal(base.Add(visibility)) {
		p.t.Fatalf("until %s, want %s", c.Until, base.Add(visibility))
	}
	p.claimNone(c.Until.Add(-time.Millisecond))
	p.claimOne(c.Until, id("a", "x"))
}

func claimKeepsDue(p probe) {
	due := base.Add(123456789)
	p.add(1, entry("a", "x", due))
	now := base.Add(time.Hour + 987654321)
	c := p.claimOne(now, id("a", "x"))
	if !c.Due.Equal(due.Truncate(time.Millisecond)) {
		p.t.Fatalf("due %s, want %s to the millisecond", c.Due, due)
	}
	if !c.Until.Equal(now.Add(visibility).Truncate(time.Millisecond)) {
		p.t.Fatalf("until %s, want it to the millisecond", c.Until)
	}
}

func marker(p probe) {
	for _, want := range []bool{false, true} {
		c, err := p.Claim(p.t.Context(), base, 10, visibility)
		p.check(err)
		if c.Built != want || want != (c.BuiltBy == "me") {
			p.t.Fatalf("built is %t by %q, want %t", c.Built, c.BuiltBy, want)
		}
		p.check(p.MarkBuilt(p.t.Context(), "me"))
	}
}

func memoKept(p probe) {
	e := entry("a", "x", base)
	e.Memo = fullMemo
	p.add(1, e)
	if got := p.only(); got != e {
		p.t.Fatalf("listed %+v, want %+v", got, e)
	}
	if got := p.claimOne(base, e.ID); got.Entry != e {
		p.t.Fatalf("claimed %+v, want %+v", got.Entry, e)
	}
}

func scheduleSets(p probe) {
	p.add(1, entry("a", "x", base))
	c := p.claimOne(base, id("a", "x"))
	e := c.Entry
	e.Due, e.Memo = base.Add(time.Hour), fullMemo
	e.Memo.Forced = false
	p.check(p.Schedule(p.t.Context(), e, c.Until))
	if got := p.only(); got != e {
		p.t.Fatalf("there is %+v, want %+v", got, e)
	}
	p.claimNone(c.Until)

	// The same for a due time before the claim would have ended.
	e.Due = base.Add(time.Second)
	p.check(p.Schedule(p.t.Context(), e, base.Add(time.Hour)))
	p.claimOne(base.Add(time.Second), e.ID)
}

func scheduleKeepsExpedited(p probe) {
	for _, forced := range []bool{false, true} {
		x := id("a", fmt.Sprintf("forced-%t", forced))
		p.add(1, entry(x.Tenant, x.Name, base))
		c := p.claimOne(base, x)
		p.check(p.Expedite(p.t.Context(), x, base.Add(time.Second), forced))
		e := c.Entry
		e.Due, e.Memo.Failures = base.Add(time.Hour), 7
		p.check(p.Schedule(p.t.Context(), e, c.Until))

		got := p.claimOne(base.Add(time.Second), x)
		want := credential.Memo{Provider: "ankor", Failures: 7, Forced: forced}
		if !got.Due.Equal(base.Add(time.Second)) || got.Memo != want {
			p.t.Fatalf("there is %+v, want it due when it was expedited, with %+v", got, want)
		}
		p.check(p.Remove(p.t.Context(), x))
	}

	// What is due even earlier is due then.
	p.add(1, entry("a", "x", base))
	e := p.claimOne(base, id("a", "x")).Entry
	p.check(p.Expedite(p.t.Context(), e.ID, base.Add(time.Minute), false))
	p.check(p.Schedule(p.t.Context(), e, base.Add(visibility)))
	p.claimOne(base, e.ID)
}

func scheduleUnconditional(p probe) {
	p.add(1, entry("a", "x", base))
	e := entry("a", "x", base.Add(time.Hour))
	p.check(p.Expedite(p.t.Context(), e.ID, base, true))
	p.check(p.Schedule(p.t.Context(), e, time.Time{}))
	if got := p.only(); got != e {
		p.t.Fatalf("there is %+v, want %+v", got, e)
	}
}

func removedStaysRemoved(p probe) {
	p.add(2, entry("a", "x", base), entry("b", "y", base.Add(time.Hour)))
	c := p.claimOne(base, id("a", "x"))
	p.check(p.Remove(p.t.Context(), id("a", "x"), id("nobody", "knows")))
	p.check(p.Schedule(p.t.Context(), c.Entry, c.Until))
	p.check(p.Schedule(p.t.Context(), c.Entry, time.Time{}))
	if got := p.only(); got.ID != id("b", "y") {
		p.t.Fatalf("there is %+v", got)
	}
	p.claimNone(base.Add(visibility))
	// If it is added again, nothing of what was remembered comes back.
	e := credential.Entry{ID: c.ID, Due: base}
	p.add(1, e)
	if got := p.claimOne(base, c.ID); got.Memo != (credential.Memo{}) {
		p.t.Fatalf("the memo is %+v, want an empty one", got.Memo)
	}
}

func expediteMoves(p probe) {
	x := id("a", "x")
	p.add(1, entry("a", "x", base.Add(time.Hour)))
	p.check(p.Expedite(p.t.Context(), x, base, false))
	p.check(p.Expedite(p.t.Context(), x, base.Add(time.Minute), false))
	if got := p.only(); !got.Due.Equal(base) {
		p.t.Fatalf("due %s, want %s", got.Due, base)
	}
}

func expediteMemo(p probe) {
	e := entry("a", "x", base)
	e.Memo = fullMemo
	e.Memo.Forced = false
	p.add(1, e)
	want := e.Memo
	want.Failures, want.Refusals = 0, 0
	for _, forced := range []bool{false, true, false} {
		p.check(p.Expedite(p.t.Context(), e.ID, base, forced))
		want.Forced = want.Forced || forced
		if got := p.only().Memo; got != want {
			p.t.Fatalf("the memo is %+v, want %+v", got, want)
		}
	}
}

func expediteAdds(p probe) {
	p.check(p.Expedite(p.t.Context(), id("a", "x"), base, true))
	got := p.claimOne(base, id("a", "x"))
	if want := (credential.Memo{Forced: true}); got.Memo != want || !got.Due.Equal(base) {
		p.t.Fatalf("there is %+v", got)
	}
}

func addKnown(p probe) {
	first := entry("a", "x", base)
	p.add(1, first, entry("a", "x", base.Add(-time.Hour)))
	p.add(1, entry("a", "x", base.Add(time.Hour)), entry("b", "x", base))
	p.check(p.Remove(p.t.Context(), id("b", "x")))
	if got := p.only(); got != first {
		p.t.Fatalf("there is %+v, want %+v", got, first)
	}
	p.add(0)
	p.check(p.Remove(p.t.Context()))
}

func thousands(p probe) {
	all := fleet(3210)
	p.add(len(all), all...)
	if n, err := p.Len(p.t.Context()); err != nil || n != len(all) {
		p.t.Fatalf("%d entries, %v, want %d", n, err, len(all))
	}
	got, err := p.Entries(p.t.Context())
	p.check(err)
	slices.SortFunc(got, func(a, b credential.Entry) int { return a.Due.Compare(b.Due) })
	if !slices.Equal(got, all) {
		p.t.Fatalf("listed %d entries that are not those that were added", len(got))
	}
	var gone []credential.ID
	for _, e := range all {
		gone = append(gone, e.ID)
	}
	p.check(p.Remove(p.t.Context(), gone...))
	if n, err := p.Len(p.t.Context()); err != nil || n != 0 {
		p.t.Fatalf("%d entries, %v, want none", n, err)
	}
}

func claimedOnce(p probe) {
	all := fleet(400)
	p.add(len(all), all...)
	var wait sync.WaitGroup
	claims := make(chan queue.Claimed, 8*7*len(all))
	for range 8 {
		wait.Go(func() {
			for range all {
				c, err := p.Claim(p.t.Context(), base.Add(time.Hour), 7, visibility)
				if err != nil || len(c.Entries) == 0 {
					return
				}
				for _, e := range c.Entries {
					claims <- e
				}
			}
		})
	}
	wait.Wait()
	close(claims)
	seen := map[credential.ID]int{}
	for c := range claims {
		seen[c.ID]++
	}
	for _, e := range all {
		if seen[e.ID] != 1 {
			p.t.Fatalf("%s was claimed %d times", e.ID, seen[e.ID])
		}
	}
}

func badMemo(p probe) {
	e := entry("a", "x", base)
	e.Memo.ExpiresAt = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)
	if n, err := p.Add(p.t.Context(), e); err == nil || n != 0 {
		p.t.Fatalf("added %d, %v", n, err)
	}
	p.add(1, entry("a", "x", base))
	if err := p.Schedule(p.t.Context(), e, time.Time{}); err == nil {
		p.t.Fatal("scheduled with a memo that cannot be written")
	}
	if got := p.only(); got.Memo.Provider != "ankor" {
		p.t.Fatalf("there is %+v", got)
	}
}

// TestFullMemoIsFull keeps fullMemo in step with credential.Memo, so that a new
// field is proved to survive the scripts, too.
func TestFullMemoIsFull(t *testing.T) {
	t.Parallel()
	v := reflect.ValueOf(fullMemo)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s has no value", v.Type().Field(i).Name)
		}
	}
}
