package main

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Kind is a way in which something goes wrong.
type Kind string

// The kinds of faults.
const (
	Kill     Kind = "kill"     // SIGKILL, and started again soon
	Stop     Kind = "stop"     // SIGTERM, as a deployment does, and started again when it has ended
	Wipe     Kind = "wipe"     // SIGKILL, and the spool is gone with its machine
	Away     Kind = "away"     // SIGKILL, and not started again before others may take over
	Pause    Kind = "pause"    // SIGSTOP past the lease, then SIGCONT
	Cut      Kind = "cut"      // the connection ends
	Delay    Kind = "delay"    // the connection holds still
	Truncate Kind = "truncate" // the answer breaks off, or the request to the provider
	Refuse   Kind = "refuse"   // an answer of the other end's that says no: 429, 472, 473, 5xx
	Seal     Kind = "seal"     // Vault is sealed, and unsealed later
	VaultDie Kind = "vault"    // Vault is killed, and started again
	SetBack  Kind = "set_back" // Vault's storage is put back to this moment, a second or two later
	Flush    Kind = "flush"    // Redis loses everything
	RedisDie Kind = "redis"    // Redis is killed, and comes back empty
	Failover Kind = "failover" // Redis's replica is promoted
	Evict    Kind = "evict"    // Redis has no memory left: it throws keys away, or takes no writes
	Revoke   Kind = "revoke"   // the process's token for Vault is no longer good
	Key      Kind = "key"      // the escrow keys: a newer one, or they are deleted and come back
	Disk     Kind = "disk"     // the spool's disk is full for a while, or takes no new files
	Person   Kind = "person"   // a person authorizes anew, in the middle
	Reapply  Kind = "reapply"  // Terraform puts an older document back, in the middle
	Delete   Kind = "delete"   // the credential is deleted in the middle, and stored again later
)

// weighted is a kind with how often it is drawn in comparison.
type weighted struct {
	Kind   Kind
	Weight int
}

// kinds are all of them.
func kinds() []weighted {
	return []weighted{
		{Kill, 160},
		{Stop, 80},
		{Wipe, 15},
		{Away, 6},
		{Pause, 80},
		{Cut, 180},
		{Delay, 110},
		{Truncate, 110},
		{Refuse, 110},
		{Seal, 35},
		{VaultDie, 35},
		{SetBack, 8},
		{Flush, 40},
		{RedisDie, 30},
		{Failover, 30},
		{Evict, 30},
		{Revoke, 30},
		{Key, 15},
		{Disk, 35},
		{Person, 25},
		{Reapply, 25},
		{Delete, 25},
	}
}

func allKinds() []Kind {
	var all []Kind
	for _, k := range kinds() {
		all = append(all, k.Kind)
	}
	return all
}

// applies reports whether a kind can happen at a place: a file has no connection,
// Redis has no status, and a person acts when something is under way.
func applies(k Kind, b Boundary, s Side) bool {
	switch k {
	case Cut, Delay:
		return b != Spool
	case Truncate:
		return (s == After) != (b == Request) && b != Spool // a request breaks off on its way there
	case Refuse:
		provider := s == Before && (b == Request || b == Answer)
		return provider || slices.Contains([]Boundary{Read, Intent, Commit, Publish}, b)
	case Person, Reapply, Delete:
		return !slices.Contains([]Boundary{Lease, Read, Spent}, b)
	default:
		return true
	}
}

// ofConnection reports whether a kind concerns nothing but a connection.
func (k Kind) ofConnection() bool { return slices.Contains([]Kind{Cut, Delay, Truncate, Refuse}, k) }

// Draw is what the plan has for one moment. Its numbers are drawn with it, so that
// the same seed has the same fault last as long.
type Draw struct {
	Kind   Kind
	Chance float64 // in [0, 1): how long, how much, which status
}

// span returns a time between two bounds by the draw's chance.
func (d Draw) span(from, to time.Duration) time.Duration {
	return from + time.Duration(d.Chance*float64(to-from))
}

// Plan draws faults from a seed, for each side of each boundary from a stream of
// its own: which crossing is hit next, and by what. How crossings interleave is up
// to the machine, so a seed repeats the attack, and not each microsecond of it.
type Plan struct {
	mu    sync.Mutex
	sides map[Boundary]map[Side]*stream
	hits  map[Boundary]int // of the boundaries that are hit at all
	// leaves reports whether a boundary is left alone for now.
	leaves func(Boundary) bool
	over   bool
}

// stream is the plan of one side of a boundary.
type stream struct {
	rng   *rand.Rand
	every int // one crossing in so many is hit, on average
	skip  int // crossings to let pass first
	kinds []weighted
	total int // of the kinds' weights
}

// slack is how many hits a boundary may be ahead of the one with the fewest.
// Without that the first steps, which each failed try crosses again, would be hit so
// often that nobody would come to the last ones.
const slack = 5

// newPlan returns the plan of a seed. Of each side of a boundary one crossing in
// every is hit, on average; twice as many of one that has a single side. Empty lists of boundaries and kinds stand for all. While a
// boundary is left alone the others do not wait for it.
func newPlan(seed uint64, every int, where []Boundary, what []Kind, leaves func(Boundary) bool) *Plan {
	p := &Plan{sides: map[Boundary]map[Side]*stream{}, hits: map[Boundary]int{}, leaves: leaves}
	for _, b := range boundaries() {
		p.sides[b] = map[Side]*stream{}
		if len(where) > 0 && !slices.Contains(where, b) {
			continue
		}
		p.hits[b] = 0
		for _, side := range b.sides() {
			if s := newStream(seed, b, side, every*len(b.sides())/2, what); s.total > 0 {
				p.sides[b][side] = s
			}
		}
	}
	return p
}

func newStream(seed uint64, b Boundary, side Side, every int, what []Kind) *stream {
	h := fnv.New64a()
	_, _ = h.Write([]byte(string(b) + "/" + string(side)))
	s := &stream{rng: rand.New(rand.NewPCG(seed, h.Sum64())), every: every}
	for _, k := range kinds() {
		if applies(k.Kind, b, side) && (len(what) == 0 || slices.Contains(what, k.Kind)) {
			s.kinds = append(s.kinds, k)
			s.total += k.Weight
		}
	}
	s.wait()
	return s
}

// Next is asked at every crossing, and says what happens there, if anything.
func (p *Plan) Next(b Boundary, side Side) (Draw, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sides[b][side]
	if p.over || s == nil || p.leaves(b) || p.ahead(b) {
		return Draw{}, false
	}
	if s.skip > 0 {
		s.skip--
		return Draw{}, false
	}
	s.wait()
	p.hits[b]++
	return s.draw(), true
}

// ahead reports whether a boundary was hit so often that others come first.
func (p *Plan) ahead(b Boundary) bool {
	for other, fewest := range p.hits {
		if p.hits[b] > fewest+slack && !p.leaves(other) {
			return true
		}
	}
	return false
}

// Again takes back a fault that cannot be carried out just now, since a server is
// down already; another is drawn at the next crossing.
func (p *Plan) Again(b Boundary, side Side) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hits[b]--
	p.sides[b][side].skip = 0
}

// End lets everything pass from now on.
func (p *Plan) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

func (s *stream) wait() { s.skip = s.rng.IntN(2*s.every + 1) }

func (s *stream) draw() Draw {
	n := s.rng.IntN(s.total)
	for _, k := range s.kinds {
		if n -= k.Weight; n < 0 {
			return Draw{Kind: k.Kind, Chance: s.rng.Float64()}
		}
	}
	panic("the weights do not add up")
}
