package model

import "slices"

// Wrong is what must never happen. 0 is nothing.
type Wrong uint8

// What must never happen, by the invariants of docs/architecture.md.
const (
	// AgainUnproven (I1): a token goes out again, neither on record nor with proof that it was not spent.
	AgainUnproven Wrong = iota + 1
	// AtOnce (I1): a token goes out while an earlier request with it may still reach the provider.
	AtOnce
	// Unkept (I2): the run went on, and an answer in a spool did not reach Vault.
	Unkept
	// LostAvoidably (I3): the living token is nowhere any more, though nothing happened that excuses it.
	LostAvoidably
	// WentBack (I4): the published generation went back.
	WentBack
	// SameGeneration (I4): one generation was published with two tokens.
	SameGeneration
	// DeadTooSoon (I5): the grant was given up with a living token within reach.
	DeadTooSoon
	// Unasked (I5): the grant is dead, and nobody is asked to authorize again.
	Unasked
	// NoPlace (I6): a token went out whose answer had no place.
	NoPlace
	// Blind (I3): a grant is written over that its writer has not read.
	Blind
	// NeverEnds (I9): an intent stays open, or a run goes in circles, though nothing is in its way.
	NeverEnds
)

// String says it in words.
func (w Wrong) String() string {
	return [...]string{
		"nothing",
		"I1: a token goes out again, neither on record nor proven unspent",
		"I1: a token goes out while an earlier request with it may still arrive",
		"I2: an answer in a spool never reaches Vault",
		"I3: the living token is lost without an excuse",
		"I4: the published generation goes back",
		"I4: one generation is published with two tokens",
		"I5: the grant is given up with a living token within reach",
		"I5: the grant is dead and nobody is asked to authorize again",
		"I6: a token goes out whose answer has no place",
		"I3: a grant is written over by a worker that has not read it",
		"I9: an intent never ends, or a run goes in circles",
	}[w]
}

// checkSend looks at a token that is about to go out.
func (s *State) checkSend(me *worker) {
	t := me.grant.rt
	recorded := me.probe && s.facts[me.att].probe
	// Storage that was put back holds no trace of what came after, so that the spent
	// list stands alone, and it knows nothing if Redis was away or was flushed.
	excused := s.restored && me.excused
	switch {
	case s.underWay(t) && !excused:
		s.wrong = AtOnce
	case s.unproven[t] > 0 && !recorded && !excused:
		s.wrong = AgainUnproven
	case !me.room:
		s.wrong = NoPlace
	}
}

// underWay reports whether the provider may still get the token.
func (s *State) underWay(t token) bool {
	for i := range s.workers {
		if s.workers[i].underWay && s.workers[i].grant.rt == t {
			return true
		}
	}
	return s.orphans[0].token == t || s.orphans[1].token == t
}

func (s *State) checkPublished() {
	switch {
	case s.vault.gen < s.highest:
		s.wrong = WentBack
	case s.vault.gen == s.highest && s.vault.at != s.highestAt && !s.restored:
		s.wrong = SameGeneration
	}
	s.highest, s.highestAt = s.vault.gen, s.vault.at
}

// checkDead looks at a grant that is about to be given up by a worker.
func (m *machine) checkDead(n *State, w int, me *worker) {
	t := tokenOf(me.grant.rt.family(), n.living[me.grant.rt.family()])
	switch {
	case n.vault.grant.rt == t:
		n.wrong = DeadTooSoon
	case n.restored: // the document may be too old for any answer to fit
	case m.overlooked(n, w, t):
		n.wrong = DeadTooSoon
	}
}

// overlooked reports whether a spool, a worker or Redis has the token, and nothing
// kept it from Vault.
func (m *machine) overlooked(n *State, w int, t token) bool {
	for i := range n.processes {
		for a, got := range n.processes[i].spool {
			if got.token() == t && !m.heldBack(n, w, i, attempt(a)) {
				return true
			}
		}
	}
	for i := range n.workers {
		if me := &n.workers[i]; me.answer.token() == t && !m.heldBack(n, w, m.opts.home(i), me.att) {
			return true
		}
	}
	for a, got := range n.copies {
		if got.token() == t && !n.redisDown && !m.heldBack(n, w, n.processOf(n.facts[a].owner), attempt(a)) {
			return true
		}
	}
	return false
}

// heldBack reports whether a process other than the worker's kept an answer from Vault for
// longer than a takeover waits, because it was down or stopped.
func (m *machine) heldBack(n *State, w, process int, a attempt) bool {
	if process < 0 || process == m.opts.home(w) {
		return false
	}
	p := &n.processes[process]
	return (!p.up || p.paused || p.late) && n.facts[a].age >= TakeoverAfter && n.expired(n.vault.at)
}

// processOf is the process that has an identity, or -1.
func (s *State) processOf(owner uint8) int {
	for i := range s.processes {
		if s.processes[i].owner == owner {
			return i
		}
	}
	return -1
}

func (s *State) copied(t token) bool {
	return slices.ContainsFunc(s.copies[:], func(a answer) bool { return a.token() == t })
}

// alive reports whether a living token of the authorization that counts is within
// reach: of the one that the grant descends from, or of one that waits for its adoption.
func (s *State) alive() bool {
	g, seed := s.vault.grant, s.vault.seed
	return g.rt != 0 && s.within(g.rt.family()) || !g.adopted(seed) && s.within(seed.family())
}

// within reports whether Vault, a spool, Redis or a worker has the living token of a family.
func (s *State) within(family uint8) bool {
	t := tokenOf(family, s.living[family])
	if s.vault.grant.rt == t || s.vault.seed == t && !s.vault.grant.adopted(t) || s.copied(t) ||
		s.kept.token == t || s.processes[0].kept.token == t || s.processes[1].kept.token == t {
		return true
	}
	for i := range s.workers {
		if s.workers[i].answer.token() == t {
			return true
		}
	}
	return s.spooled(func(a answer) bool { return a.token() == t })
}

// spooled reports whether any spool holds such an answer.
func (s *State) spooled(such func(answer) bool) bool {
	for i := range s.processes {
		if slices.ContainsFunc(s.processes[i].spool[:], such) {
			return true
		}
	}
	return false
}

// checkLoss compares what was within reach before a step with what is after it.
func checkLoss(before, after *State, e Event) {
	if !e.loses && after.wrong == 0 && !(after.restored && after.struck) && before.alive() && !after.alive() {
		after.wrong = LostAvoidably
	}
}

// checkEnd looks at a state in which nothing moves any more.
func (s *State) checkEnd() Wrong {
	v := &s.vault
	serves := v.grant.state == idle && s.isLiving(v.grant.rt) && v.at == v.grant.at
	switch {
	case v.grant.state == intent:
		return NeverEnds
	case v.grant.state == dead && !v.person && v.gen <= v.grant.gen:
		return Unasked
	case s.spooled(func(a answer) bool { return a.token() != 0 }),
		s.alive() && !serves && (!s.restored || v.grant.state == dead):
		return Unkept
	default:
		return 0
	}
}
