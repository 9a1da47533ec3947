package model

// forget drops what can make no difference any more, so that runs that differ in
// nothing else meet in one state: attempts that nothing refers to, which give their number to
// later ones, and the age of tokens that nobody holds.
func (s *State) forget() {
	if s.orphans[0].token == 0 {
		s.orphans[0], s.orphans[1] = s.orphans[1], s.orphans[0]
	}
	if s.used[Restore] == 0 && !s.restored {
		s.levelVersions()
		s.kept, s.processes[0].kept, s.processes[1].kept = kept{}, kept{}, kept{} // nobody will ask for it
		s.struck = false
	}
	s.forgetReadings()
	live := s.live()
	if live != 1<<(s.lastTry+1)-1 {
		s.renumber(live)
	}
	var held [tokens]bool
	held[s.vault.grant.at], held[s.vault.at] = true, true
	held[s.backup.grant.at], held[s.backup.at] = true, true
	held[s.kept.token], held[s.processes[0].kept.token], held[s.processes[1].kept.token] = true, true, true
	for i := range s.workers {
		held[s.workers[i].grant.at], held[s.workers[i].answer.token()] = true, true
	}
	for a := range attempts {
		held[s.copies[a].token()], held[s.processes[0].spool[a].token()], held[s.processes[1].spool[a].token()] = true, true, true
	}
	for t := range held {
		if !held[t] {
			s.tokenAge[t] = 0
		}
	}
}

// forgetReadings drops what was read by workers that write no grant any more.
func (s *State) forgetReadings() {
	for i := range s.workers {
		if me := &s.workers[i]; me.pc == publish || me.pc == clearCopies || me.pc == publishDead {
			me.read, me.old = document{}, false
		}
	}
}

// levelVersions keeps of the versions whether a worker's is the one in Vault. That is all
// that counts as long as storage is not put back, and keeps a run that writes for ever finite.
func (s *State) levelVersions() {
	for i := range s.workers {
		switch me := &s.workers[i]; {
		case me.pc == resting:
		case me.version == s.vault.version:
			me.version, me.read = 2, s.vault.grant
		default:
			me.version, me.read = 1, document{}
		}
	}
	s.vault.version = 2
}

// live is the set of attempts that something refers to.
func (s *State) live() uint16 {
	var set uint16
	add := func(a attempt) { set |= 1<<a | s.facts[a].earlier }
	add(s.vault.grant.open)
	add(s.backup.grant.open)
	for i := range s.workers {
		add(s.workers[i].att)
		add(s.workers[i].grant.open)
	}
	for i := range s.orphans {
		add(s.orphans[i].att)
	}
	for a := attempt(1); a <= s.lastTry; a++ {
		if s.copies[a] != noAnswer || s.processes[0].spool[a] != noAnswer || s.processes[1].spool[a] != noAnswer {
			set |= 1 << a
		}
	}
	for i := range s.processes {
		if w := s.processes[i].watch; set>>w&1 == 0 {
			s.processes[i].watches(0) // Engine.watchClaims
		}
	}
	return set | 1
}

// renumber gives the live attempts the numbers from 1 on, in the same order.
func (s *State) renumber(live uint16) {
	var to [attempts]attempt
	last := attempt(0)
	for a := attempt(1); a <= s.lastTry; a++ {
		if live>>a&1 == 1 {
			last++
			to[a] = last
		}
	}
	old := *s
	s.copies, s.facts, s.lastTry = [attempts]answer{}, [attempts]facts{}, last
	s.processes[0].spool, s.processes[1].spool = [attempts]answer{}, [attempts]answer{}
	for a := attempt(1); a <= old.lastTry; a++ {
		if to[a] == 0 {
			continue
		}
		f := old.facts[a]
		f.earlier = 0
		for e := range attempts {
			if old.facts[a].earlier>>e&1 == 1 {
				f.earlier |= 1 << to[e]
			}
		}
		s.facts[to[a]], s.copies[to[a]] = f, old.copies[a]
		for i := range s.processes {
			s.processes[i].spool[to[a]] = old.processes[i].spool[a]
		}
	}
	s.vault.grant.open, s.backup.grant.open = to[s.vault.grant.open], to[s.backup.grant.open]
	for i := range s.workers {
		me := &s.workers[i]
		me.att, me.grant.open, me.read.open = to[me.att], to[me.grant.open], to[me.read.open]
	}
	for i := range s.orphans {
		s.orphans[i].att = to[s.orphans[i].att]
	}
	for i := range s.processes {
		s.processes[i].watch = to[s.processes[i].watch]
	}
}

// mirrored is the state with the two replicas, and their identities, exchanged.
func (s *State) mirrored() State {
	n := *s
	n.processes[0], n.processes[1] = s.processes[1], s.processes[0]
	n.workers[0], n.workers[1] = s.workers[1], s.workers[0]
	if s.lease != 0 {
		n.lease = 3 - s.lease
	}
	other := func(owner uint8) uint8 {
		if owner < 2 {
			return 1 - owner
		}
		return owner
	}
	for i := range n.processes {
		n.processes[i].owner = other(n.processes[i].owner)
	}
	for a := range n.lastTry {
		n.facts[a+1].owner = other(n.facts[a+1].owner)
	}
	return n
}
