package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain gives the tests mounts of their own.
func TestMain(m *testing.M) {
	if code, done := inOwnMounts(); done {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// brief is a run that CI has the time for.
func brief(t *testing.T) options {
	t.Helper()
	o, err := parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	o.replicas, o.tenants, o.others, o.every = 3, 40, 1, 12
	o.clocks = false // that takes one more build of the service
	return o
}

// TestChaos attacks until every boundary was hit a few times, which takes a minute or so;
// longer if the seed keeps the processes away.
func TestChaos(t *testing.T) {
	o := brief(t)
	o.duration, o.rotations, o.hits, o.seed = 6*time.Minute, 50, 3, uint64(time.Now().UnixNano())
	res := must(attack(t.Context(), o, testLog{t}))(t)
	if !res.ok() {
		t.Errorf("seed %d: %d things that must not be", o.seed, len(res.Failures))
	}
	if least, n := res.rig.least(); n < o.hits {
		t.Errorf("seed %d: %d faults at the %s, want at least %d", o.seed, n, least, o.hits)
	}
	if res.Rotations < o.rotations {
		t.Errorf("seed %d: %d rotations, want at least %d", o.seed, res.Rotations, o.rotations)
	}
}

// TestRedisOutage takes Redis away for longer than every token lives.
func TestRedisOutage(t *testing.T) {
	o := brief(t)
	o.outage = 2*accessLifetime + 2*time.Second
	res := must(attack(t.Context(), redisOutage(o), testLog{t}))(t)
	if !res.ok() {
		t.Errorf("%d things that must not be", len(res.Failures))
	}
	if n := res.Presentations - res.Rotations; n != 0 {
		t.Errorf("%d presentations more than rotations", n)
	}
}

// testLog passes on what a run prints.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// nowhere leaves no boundary alone.
func nowhere(Boundary) bool { return false }

func draws(p *Plan, n int) []Draw {
	var all []Draw
	for range n {
		for _, b := range boundaries() {
			for _, side := range []Side{Before, After} {
				if d, ok := p.Next(b, side); ok {
					all = append(all, d)
				}
			}
		}
	}
	return all
}

func TestPlan(t *testing.T) {
	t.Parallel()
	first, again, other := draws(newPlan(7, 10, nil, nil, nowhere), 2000), draws(newPlan(7, 10, nil, nil, nowhere), 2000), draws(newPlan(8, 10, nil, nil, nowhere), 2000)
	seen := map[Kind]int{}
	for i, d := range first {
		if d != again[i] {
			t.Fatalf("draw %d is %v, and then %v from the same seed", i, d, again[i])
		}
		seen[d.Kind]++
	}
	if len(other) > 2 && other[0] == first[0] && other[1] == first[1] && other[2] == first[2] {
		t.Error("another seed draws the same")
	}
	for _, k := range allKinds() {
		if seen[k] == 0 {
			t.Errorf("%s was not drawn in %d", k, len(first))
		}
	}

	p := newPlan(1, 0, []Boundary{Commit}, []Kind{Kill}, nowhere)
	if _, ok := p.Next(Intent, Before); ok {
		t.Error("a boundary was hit that was left out")
	}
	if d, ok := p.Next(Commit, After); !ok || d.Kind != Kill {
		t.Errorf("%v, %t; want a kill at the commit", d, ok)
	}
	p.End()
	if _, ok := p.Next(Commit, After); ok {
		t.Error("a fault after the end")
	}
}

// TestApplies: a request breaks off on its way there, and every answer on its way back.
func TestApplies(t *testing.T) {
	t.Parallel()
	for _, b := range boundaries() {
		if before, after := applies(Truncate, b, Before), applies(Truncate, b, After); before != (b == Request) || after != (b != Request && b != Spool) {
			t.Errorf("the %s breaks off before: %t, after: %t", b, before, after)
		}
	}
}

// TestPlanKeepsBalance: a boundary that is crossed much more often is not hit much
// more often.
func TestPlanKeepsBalance(t *testing.T) {
	t.Parallel()
	p := newPlan(1, 0, []Boundary{Read, Commit}, nil, nowhere)
	for range 1000 {
		p.Next(Read, Before)
	}
	if n := p.hits[Read]; n == 0 || n > slack+1 {
		t.Errorf("%d hits at the reads, and none at the commit", n)
	}
	p.Again(Read, Before)
	if n := p.hits[Read]; n != slack {
		t.Errorf("%d hits after one was taken back, want %d", n, slack)
	}
}

// TestPlanDoesNotWait: a boundary that is left alone is not hit, and does not keep the
// attack from the others. It is behind afterwards, and comes first.
func TestPlanDoesNotWait(t *testing.T) {
	t.Parallel()
	alone := true
	p := newPlan(1, 0, []Boundary{Spent, Commit}, nil, func(b Boundary) bool { return alone && b == Spent })
	for range 100 {
		p.Next(Spent, Before)
		p.Next(Commit, Before)
	}
	if p.hits[Spent] != 0 || p.hits[Commit] != 100 {
		t.Fatalf("%d hits at the spent list, want none; %d at the commit, want 100", p.hits[Spent], p.hits[Commit])
	}
	alone = false
	for range 100 {
		p.Next(Spent, Before)
		p.Next(Commit, Before)
	}
	if p.hits[Spent] != 100 || p.hits[Commit] > 101+slack {
		t.Errorf("%d hits at the spent list, want 100; %d at the commit, want it to wait", p.hits[Spent], p.hits[Commit])
	}
}

// TestWaitingAnswer: a credential is not whole while a spool holds an answer of its own, as one
// does whose process has only just come back.
func TestWaitingAnswer(t *testing.T) {
	t.Parallel()
	spool := must(newSpoolDir(t.TempDir(), func([]byte) {}))(t)
	t.Cleanup(func() { _ = spool.unmount() })
	file := filepath.Join(spool.dir, "answers", "a1")
	if err := os.WriteFile(file, []byte(`{"tenant":"acme","name":"main","attempt":"a1","size":1}`+"\nx"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &rig{ctx: t.Context(), replicas: []*replica{{n: 1, spool: spool}}}
	if open := r.unrecovered([]string{"acme/main"}); open["acme/main"] != "the answer to a1 waits in the spool of replica 1" {
		t.Errorf("%v, want the answer that waits", open)
	}
}

func TestReadVaultCall(t *testing.T) {
	t.Parallel()
	const grants, tokens = "/v1/secret/data/refresher/grants/acme/main", "/v1/secret/data/refresher/tokens/acme/main"
	for _, c := range []struct {
		name, method, path, body string
		want                     Boundary
		unknown                  bool
	}{
		{name: "read", method: "GET", path: grants, want: Read},
		{name: "intent", method: "PUT", path: grants, body: `{"data":{"state":"intent","generation":3,"intent":{"attempt":"a","probe":true}}}`, want: Intent},
		{name: "claim", method: "PUT", path: grants, body: `{"data":{"state":"intent","generation":3,"intent":{"attempt":"a","claim":true}}}`},
		{name: "commit", method: "PUT", path: grants, body: `{"data":{"state":"idle","generation":4}}`, want: Commit},
		{name: "closed again", method: "PUT", path: grants, body: `{"data":{"state":"idle","generation":3}}`},
		{name: "dead", method: "PUT", path: grants, body: `{"data":{"state":"dead","generation":3}}`},
		{name: "publication", method: "PUT", path: tokens, body: `{"data":{"status":"active","generation":4}}`, want: Publish},
		{name: "escrow key", method: "GET", path: "/v1/secret/data/refresher/escrow-keys/1", unknown: true},
		{name: "list", method: "GET", path: "/v1/secret/metadata/refresher/credentials", unknown: true},
		{name: "no JSON", method: "PUT", path: grants, body: `{`, unknown: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			call, ok := readVaultCall(c.method, c.path, []byte(c.body))
			if ok == c.unknown {
				t.Fatalf("known: %t", ok)
			}
			if ok && (call.boundary(3) != c.want || call.ID != "acme/main") {
				t.Errorf("%q of %q, want %q of acme/main", call.boundary(3), call.ID, c.want)
			}
		})
	}
}

func TestReadRedisCall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, command string
		want          redisCall
	}{
		{"lease", "EVALSHA x 1 refresher:lease:tenant:acme owner 2000", redisCall{Boundary: Lease, Tenant: "acme", Owner: "owner"}},
		{"release", "EVALSHA x 1 refresher:lease:tenant:acme owner", redisCall{}},
		{"spent", "EVALSHA x 1 refresher:spent:abc sent 0 1000", redisCall{Boundary: Spent, Hash: "abc"}},
		{"escrow", "hsetnx refresher:escrow:acme/main a1 sealed", redisCall{Boundary: Escrow, Attempt: "a1"}},
		{"its time to live", "pexpire refresher:escrow:acme/main 1000", redisCall{}},
		{"clean-up of no rotation", "hdel refresher:escrow:acme/main a1", redisCall{Boundary: Cleanup, Attempt: "a1"}},
		{"clean-up", "EVALSHA x 1 refresher:escrow:acme/main a1 7 sealed 1000", redisCall{Boundary: Cleanup, Attempt: "a1"}},
		{"a look at the escrow", "hget refresher:escrow:acme/main a1", redisCall{}},
		{"at all of it", "hgetall refresher:escrow:acme/main", redisCall{}},
		{"claim", "EVALSHA x 3 refresher:{q0}:due refresher:{q0}:memo refresher:{q0}:built 1 2 3", redisCall{}},
		{"ping", "PING", redisCall{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got, ok := readRedisCall(strings.Fields(c.command)); got != c.want || ok != (c.want.Boundary != "") {
				t.Errorf("%+v, %t; want %+v", got, ok, c.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "reliability.md")
	before, after := "# Reliability\n\nBy hand.\n", "\nBy hand, too.\n"
	if err := os.WriteFile(page, []byte(before+reportBegin+"\nold\n"+reportEnd+after), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &rig{options: options{seed: 99, rotations: 5000, where: []Boundary{Spool, Spent}}, seen: newObserved(), faults: []*Fault{{Draw: Draw{Kind: Kill}, Boundary: Commit, Side: After}}}
	v := &verdict{Again: map[string]int{recordedProbe: 3}, Losses: map[string]int{"cut, after the answer": 2}, Rotations: 4711}
	if err := writeReport(r.options, time.Now(), &result{verdict: v, rig: r}, nil); err == nil {
		t.Error("a report without a name was written")
	}
	r.options.report = page
	if err := writeReport(r.options, time.Now(), &result{verdict: v, rig: r}, nil); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{before, after, "-seed 99", "-where spool,spent'", "4711", "before its 5000 rotations", "3 × recorded probe", "| cut, after the answer | 2 |"} {
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if bytes.Contains(got, []byte("old")) {
		t.Error("the old figures are still there")
	}
}
