package model

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
)

// Finding is what a search came to.
type Finding struct {
	// States and Transitions are how many were seen; all of them if Wrong is 0.
	States, Transitions int
	// Depth is how many steps the farthest state is away.
	Depth int
	// Wrong is what happened that must not, and Trace the shortest way there.
	Wrong Wrong
	Trace Trace
}

// Trace is a run in words, one step a line.
type Trace []string

// String numbers the steps.
func (t Trace) String() string {
	var b strings.Builder
	for i, step := range t {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, step)
	}
	return b.String()
}

// fingerprint stands for a state. Two of some millions share one with a
// probability below 10^-6; one of them would then not be looked at.
type fingerprint uint64

// origin is how a state was first reached.
type origin struct {
	from int32
	// step is which of the steps of from led there.
	step uint16
}

// search is a breadth-first search, so that the first wrong state is a nearest one.
type search struct {
	machine machine
	start   State
	seed    maphash.Seed
	seen    map[fingerprint]struct{}
	origins []origin
	level   []State
	// first is the number of the level's first state.
	first int
	found Finding
	ends  map[fingerprint]struct{}
}

// Search looks at every state that can be reached, and lets each run on without
// further faults until nothing moves any more.
func Search(rules Rules, opts Options) Finding {
	s := &search{
		machine: machine{rules: rules, opts: opts}, start: opts.initial(),
		seed: maphash.MakeSeed(), seen: map[fingerprint]struct{}{}, ends: map[fingerprint]struct{}{},
	}
	s.seen[s.print(&s.start)] = struct{}{}
	s.origins, s.level = []origin{{from: -1}}, []State{s.start}
	for len(s.level) > 0 && s.found.Wrong == 0 {
		s.advance()
	}
	s.found.States = len(s.origins)
	return s.found
}

// print is the same for two states that differ only in which replica is which.
func (s *search) print(state *State) fingerprint {
	switch {
	case s.machine.opts.OneProcess || state.workers[0].pc < state.workers[1].pc:
		return s.printOf(state)
	case state.workers[0].pc > state.workers[1].pc:
		mirrored := state.mirrored()
		return s.printOf(&mirrored)
	}
	mirrored := state.mirrored()
	return min(s.printOf(state), s.printOf(&mirrored))
}

func (s *search) printOf(state *State) fingerprint {
	return fingerprint(maphash.Comparable(s.seed, *state))
}

// advance looks at all states that are one step farther away.
func (s *search) advance() {
	var next []State
	for i := range s.level {
		number, step := s.first+i, uint16(0)
		s.machine.next(&s.level[i], func(e Event, n *State) {
			s.found.Transitions++
			checkLoss(&s.level[i], n, e)
			n.forget()
			if key := s.print(n); !has(s.seen, key) {
				s.seen[key] = struct{}{}
				s.origins = append(s.origins, origin{int32(number), step})
				next = append(next, *n)
			}
			step++
		})
	}
	s.first += len(s.level)
	for i := range next {
		if s.found.Wrong = next[i].wrong; s.found.Wrong != 0 {
			s.found.Trace = s.trace(s.first + i)
			break
		}
		if wrong, rest := s.runOn(next[i]); wrong != 0 {
			s.found.Wrong, s.found.Trace = wrong, append(s.trace(s.first+i), rest.words()...)
			break
		}
	}
	if len(next) > 0 {
		s.found.Depth++
	}
	s.level = next
}

func has(set map[fingerprint]struct{}, key fingerprint) bool {
	_, ok := set[key]
	return ok
}

type events []Event

func (all events) words() Trace {
	var t Trace
	for _, e := range all {
		t = append(t, e.String())
	}
	return t
}

// runOn lets a state run on, fairly and without further faults, and looks at
// where it ends. A run that meets one which was followed before ends well, and one that
// meets itself never does.
func (s *search) runOn(state State) (Wrong, events) {
	calm := s.machine
	calm.faultless = true
	state.left, state.used = 0, [faults]uint8{}
	trace := events{{what: "(from here on nothing else goes wrong)"}}
	path := map[fingerprint]struct{}{}
	for key := s.print(&state); !has(s.ends, key); key = s.print(&state) {
		if has(path, key) {
			return NeverEnds, append(trace, Event{what: "(and so on)"})
		}
		path[key] = struct{}{}
		after, e, moved := calm.first(&state)
		if !moved {
			if wrong := state.checkEnd(); wrong != 0 {
				return wrong, trace
			}
			break
		}
		trace = append(trace, e)
		if state = after; state.wrong != 0 {
			return state.wrong, trace
		}
	}
	maps.Copy(s.ends, path)
	return 0, nil
}

// first returns the first step that leads anywhere.
func (m *machine) first(s *State) (after State, event Event, moved bool) {
	m.next(s, func(e Event, n *State) {
		if moved {
			return
		}
		checkLoss(s, n, e)
		if n.forget(); *n != *s {
			after, event, moved = *n, e, true
		}
	})
	return after, event, moved
}

// trace returns the way to a state, found by going it once more.
func (s *search) trace(number int) Trace {
	var steps []uint16
	for ; s.origins[number].from >= 0; number = int(s.origins[number].from) {
		steps = append(steps, s.origins[number].step)
	}
	var trace Trace
	state := s.start
	for _, step := range slices.Backward(steps) {
		var after State
		at := uint16(0)
		s.machine.next(&state, func(e Event, n *State) {
			if at == step {
				n.forget()
				after = *n
				trace = append(trace, e.String())
			}
			at++
		})
		state = after
	}
	return trace
}
