package model

// recover emits what undoes a fault. It may happen at any time.
func (m *machine) recover() {
	s := m.s
	if s.vaultDown {
		m.happens(Event{what: "Vault is back"}, func(n *State) { n.vaultDown = false })
	}
	if s.redisDown {
		m.happens(Event{what: "Redis is back"}, func(n *State) { n.redisDown = false })
	}
	for i, p := range s.processes {
		if p.paused {
			m.happens(Event{kind: ofProcess, who: i, what: "goes on where it was stopped"}, func(n *State) { n.processes[i].paused, n.processes[i].late = false, true })
		}
		if p.stuck {
			m.happens(Event{kind: ofProcess, who: i, what: "can write to its disk again"}, func(n *State) { n.processes[i].stuck = false })
		}
		if !p.up {
			m.happens(Event{kind: ofProcess, who: i, what: "is started again, with its spool"}, func(n *State) { n.processes[i].up, n.processes[i].late = true, true })
		}
	}
	if w := int(s.lease) - 1; w >= 0 && !m.working(w) {
		m.happens(Event{what: "the lease of a worker that is gone expires"}, func(n *State) { n.lease = 0 })
	}
}

// working reports whether a worker could still extend its lease.
func (m *machine) working(w int) bool {
	p := &m.s.processes[m.opts.home(w)]
	return p.up && !p.paused && m.s.workers[w].pc != resting
}

// network brings a request to the provider.
func (m *machine) network(w int) {
	me := &m.s.workers[w]
	if me.pc != await || !me.underWay {
		return
	}
	m.urgent = true
	e := Event{what: "the provider gets the request", att: me.att, tok: me.grant.rt}
	m.happens(e, func(n *State) {
		n.workers[w].underWay, n.workers[w].answer = false, n.take(me.grant.rt)
	})
	e.what = "the provider gets the request and asks to slow down"
	m.strikesUnlessFaultless(PushedBack, e, func(n *State) {
		n.workers[w].underWay, n.workers[w].answer = false, busy
	})
}

func (m *machine) strikesUnlessFaultless(f Fault, e Event, change func(n *State)) {
	if !m.faultless {
		m.strikes(f, e, change)
	}
}

// take is the provider: a living token is rotated, any other refused.
func (s *State) take(t token) answer {
	if !s.isLiving(t) {
		return refused
	}
	if t.index()+1 >= perFamily {
		panic("model: perFamily is too small for these options")
	}
	s.living[t.family()]++
	s.tokenAge[t+1] = 0
	return gaveToken + answer(t+1)
}

// orphans are requests that nobody waits for: the provider gets them, or never does.
func (m *machine) orphans() {
	for i, o := range m.s.orphans {
		if o.token == 0 {
			continue
		}
		e := Event{what: "the provider gets a request that nobody waits for any more", att: o.att, tok: o.token, loses: true}
		m.happens(e, func(n *State) {
			n.take(o.token)
			n.orphans[i] = orphan{}
		})
		e.what, e.loses = "a request that nobody waits for gets lost on its way", false
		m.happens(e, func(n *State) { n.orphans[i] = orphan{} })
	}
}

func (s *State) orphan(t token, a attempt) {
	for i := range s.orphans {
		if s.orphans[i].token == 0 {
			s.orphans[i] = orphan{t, a}
			return
		}
	}
	panic("model: too few orphans for these options")
}

// tick lets time pass, unless somebody can go on at once, or a request would be
// under way for longer than the in-flight bound. That bound is the one assumption
// about the network.
func (m *machine) tick() {
	if m.urgent || m.s.orphans != [2]orphan{} {
		return
	}
	n := *m.s
	if w := int(n.lease) - 1; w >= 0 && !m.working(w) {
		n.lease = 0
	}
	n.age()
	n.outdate()
	for i := range n.processes {
		switch p := &n.processes[i]; {
		case n.vaultDown || p.paused:
			p.watches(0) // Limits.lapsed: it starts over
		case p.up:
			p.late = false
			if p.watch != 0 {
				p.seen = min(p.seen+1, InFlightBound)
			}
		}
	}
	if n.forget(); n != *m.s {
		m.emit(Event{what: "an in-flight bound passes"}, &n)
	}
}

// watches begins the watch of a claim; of none if it is 0.
func (p *process) watches(claim attempt) { p.watch, p.seen = claim, 0 }

// outdate makes all readings old, because so much time has passed.
func (s *State) outdate() {
	for w := range s.workers {
		if me := &s.workers[w]; me.pc != resting {
			me.old = true
		}
	}
}

// age makes everything older that has an age.
func (s *State) age() {
	for t := token(1); t < tokens; t++ {
		if t.index() > 0 && t.index() <= s.living[t.family()] { // it was issued
			s.tokenAge[t] = min(s.tokenAge[t]+1, oldest)
		}
	}
	for a := range s.facts[:s.lastTry+1] {
		s.facts[a].age = min(s.facts[a].age+1, oldest)
	}
	for w := range s.workers {
		if me := &s.workers[w]; me.pc != resting && me.pc <= await || me.pc == claim {
			me.waited = 1
		}
	}
}

// misfortune emits the faults that can come at any moment.
func (m *machine) misfortune() {
	s := m.s
	if s.lease != 0 && m.working(int(s.lease)-1) {
		m.strikes(LeaseLost, Event{what: "the lease is lost early"}, func(n *State) { n.lease = 0 })
	}
	m.strikes(RedisFlush, Event{what: "Redis is flushed", loses: true}, func(n *State) {
		n.lease, n.spent, n.copies, n.kept = 0, 0, [attempts]answer{}, kept{}
	})
	if !s.redisDown {
		m.strikes(RedisOutage, Event{what: "Redis goes away"}, func(n *State) { n.redisDown = true })
	}
	if !s.vaultDown {
		m.strikes(VaultOutage, Event{what: "Vault goes away"}, func(n *State) { n.vaultDown = true })
	}
	for i := range s.processes {
		if !m.opts.OneProcess || i == 0 {
			m.strikesProcess(i)
		}
	}
	m.person()
	m.storage()
}

func (m *machine) strikesProcess(i int) {
	e := Event{kind: ofProcess, who: i}
	p := &m.s.processes[i]
	if !p.up {
		e.what, e.loses = "is started again with an empty spool, as a new owner", true
		m.strikes(SpoolLost, e, func(n *State) {
			n.lastOwner++
			n.processes[i] = process{owner: n.lastOwner, up: true}
		})
		return
	}
	e.what, e.loses = "dies", true
	m.strikes(Crash, e, func(n *State) { m.kill(n, i) })
	e.loses = false
	if !p.paused {
		e.what = "is stopped"
		m.strikes(Pause, e, func(n *State) { n.processes[i].paused = true })
	}
	if !p.stuck {
		e.what = "cannot write to its disk any more"
		m.strikes(DiskStuck, e, func(n *State) { n.processes[i].stuck = true })
	}
}

// kill ends a process: what is in memory is gone, what was sent is on its way.
func (m *machine) kill(n *State, i int) {
	p := &n.processes[i]
	p.up, p.paused = false, false
	p.watches(0)
	for w := range n.workers {
		if m.opts.home(w) != i {
			continue
		}
		if me := &n.workers[w]; me.pc == await && me.underWay {
			n.orphan(me.grant.rt, me.att)
		}
		n.workers[w] = worker{}
	}
}

// person emits what a person may store.
func (m *machine) person() {
	v := &m.s.vault
	store := func(f Fault, what string, seed token) {
		if seed != 0 && seed != v.seed && !m.s.vaultDown {
			m.strikes(f, Event{what: what, tok: seed}, func(n *State) { n.vault.seed = seed })
		}
	}
	store(NewSeed, "a person authorizes again and stores the new seed", tokenOf(1, 0))
	store(SeedAgain, "somebody stores the first seed again", tokenOf(0, 0))
	store(SeedAgain, "somebody stores a copy of the living refresh token", v.grant.rt)
}

// storage emits what may happen to Vault's storage.
func (m *machine) storage() {
	s := m.s
	if s.used[Restore] == 0 {
		return
	}
	m.strikes(Backup, Event{what: "Vault's storage is copied"}, func(n *State) { n.backup, n.hasBackup = n.vault, true })
	if !s.hasBackup {
		return
	}
	m.strikes(Restore, Event{what: "Vault's storage is put back to the older copy", loses: s.struck}, func(n *State) {
		n.vault, n.restored = s.backup, true
		n.highest, n.highestAt = n.vault.gen, n.vault.at
		n.outdate()
	})
}
