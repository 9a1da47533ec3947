package model

import "fmt"

// Event is one step, for a trace.
type Event struct {
	who  int // a worker, or a process
	kind byte
	what string
	att  attempt
	tok  token
	// loses: an answer that reached no spool, or both copies, may be lost by it.
	loses bool
}

// String says what happened in words.
func (e Event) String() string {
	text := e.what
	switch e.kind {
	case ofWorker:
		text = fmt.Sprintf("worker %d %s", e.who+1, text)
	case ofProcess:
		text = fmt.Sprintf("process %c %s", 'A'+e.who, text)
	}
	if e.att != 0 {
		text += fmt.Sprintf(", attempt %d", e.att)
	}
	if e.tok != 0 {
		text += fmt.Sprintf(", token %c%d", 'a'+e.tok.family(), e.tok.index())
	}
	return text
}

const (
	ofWorld byte = iota
	ofWorker
	ofProcess
)

// machine finds what can happen next.
type machine struct {
	rules Rules
	opts  Options
	s     *State
	emit  func(Event, *State)
	// faultless: no more faults come.
	faultless bool
	// urgent: somebody can go on at once, so that no time passes.
	urgent bool
}

// next calls emit with all that can happen in s, always in the same order.
func (m *machine) next(s *State, emit func(Event, *State)) {
	m.s, m.emit, m.urgent = s, emit, false
	if s.wrong != 0 {
		return
	}
	m.recover()
	for w := range s.workers {
		if p := &s.processes[m.opts.home(w)]; p.up && !p.paused {
			m.work(w)
		}
		m.network(w)
	}
	m.orphans()
	for w := range s.workers {
		if p := &s.processes[m.opts.home(w)]; p.up && !p.paused && !s.vaultDown && s.workers[w].pc == resting {
			m.drain(w)
			m.visit(w)
		}
	}
	m.tick()
	if !m.faultless && s.left > 0 {
		m.misfortune()
	}
}

// does emits a step of a worker.
func (m *machine) does(w int, what string, change func(n *State, me *worker)) {
	m.urgent = true
	n := *m.s
	me := &n.workers[w]
	e := Event{who: w, kind: ofWorker, what: what, att: me.att, tok: me.grant.rt}
	change(&n, me)
	if e.att == 0 {
		e.att = me.att
	}
	m.emit(e, &n)
}

// fails emits a step of a worker that goes wrong.
func (m *machine) fails(f Fault, w int, what string, loses bool, change func(n *State, me *worker)) {
	n := *m.s
	if m.faultless || !n.spend(f) {
		return
	}
	me := &n.workers[w]
	e := Event{who: w, kind: ofWorker, what: what, att: me.att, tok: me.grant.rt, loses: loses}
	change(&n, me)
	m.emit(e, &n)
}

// happens emits a step of the world.
func (m *machine) happens(e Event, change func(n *State)) {
	n := *m.s
	change(&n)
	m.emit(e, &n)
}

// strikes emits a fault of the world.
func (m *machine) strikes(f Fault, e Event, change func(n *State)) {
	n := *m.s
	if !n.spend(f) {
		return
	}
	change(&n)
	m.emit(e, &n)
}

func (s *State) spend(f Fault) bool {
	if s.left == 0 || s.used[f] == 0 {
		return false
	}
	s.used[f]--
	if f != Backup {
		s.left--
	}
	s.struck = s.struck || f != Backup && f != Restore
	for i := range s.used { // no more than can still come
		s.used[i] = min(s.used[i], s.left)
	}
	if s.used[Restore] == 0 {
		s.used[Backup], s.backup, s.hasBackup = 0, vault{}, false
	}
	return true
}

// rest ends a worker's turn and gives the lease back.
func (s *State) rest(w int) {
	s.workers[w] = worker{}
	if s.lease == uint8(w)+1 {
		s.lease = 0
	}
}
