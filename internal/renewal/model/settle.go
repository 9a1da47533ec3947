package model

// keep is the beginning of Engine.keep: the spent list learns what the answer
// proves (markAnswered), and the commit is next.
func (m *machine) keep(n *State, w int, me *worker) {
	presented := n.facts[me.att].token
	if !n.redisDown {
		n.spent = n.spent.with(presented, markRotated)
	}
	if p := &n.processes[m.opts.home(w)]; !p.stuck {
		p.spent = p.spent.with(presented, markRotated)
	}
	me.pc, me.gen = commit, max(me.grant.gen, me.gen)+1 // turn.rotated
}

// rotated is turn.rotated.
func (m *machine) rotated(me *worker) document {
	next := me.grant
	next.seeds = m.withFormer(me.grant)
	next.state, next.open, next.later = idle, 0, false
	next.rt, next.at, next.gen = me.answer.token(), me.answer.token(), me.gen
	return next
}

// commit is one round of Engine.commit.
func (m *machine) commit(w int, me *worker) {
	if m.s.vaultDown {
		if me.drain { // one try at each tick
			m.storeFailed(w)
		}
		return
	}
	if m.s.workers[w].old && !m.opts.Break.OldReadings {
		m.does(w, "has read the grant too long ago to commit", func(_ *State, me *worker) { me.pc = readBack })
		return
	}
	m.puts(w, "commits the new token", func(n *State, me *worker) {
		before := *me
		me.grant = m.rotated(me)
		if me.forward {
			m.claimed(n, w, me)
		}
		n.put(me)
		*me = before // as long as nobody knows
	}, func(n *State, me *worker) {
		n.reads(me)
		me.grant, me.pc = n.vault.grant, publish
	}, func(_ *State, me *worker) { me.pc = readBack }, func(n *State, me *worker) {
		if me.pc = readBack; m.opts.Break.NoReadBack {
			m.setAside(n, w, me.att)
			n.rest(w)
		}
	})
}

// readBack is the other half of a round: what the document holds decides.
func (m *machine) readBack(w int, me *worker) {
	if m.s.vaultDown {
		if me.drain {
			m.storeFailed(w)
		}
		return
	}
	doc := m.s.vault.grant
	presented := hashes[m.s.facts[me.att].token]
	switch m.rules.ReadBack(m.s.grant(doc), m.s.grant(m.rotated(me)), presented) {
	case FoundOurs:
		m.does(w, "reads back that its commit is done", func(n *State, me *worker) {
			n.reads(me)
			me.grant, me.pc = n.vault.grant, publish
		})
	case FoundPutBack:
		m.does(w, "reads back that Vault was put back", func(n *State, me *worker) {
			n.reads(me)
			me.gen, me.forward, me.pc = max(me.gen, n.vault.grant.gen+1), true, commit
		})
	case FoundPresented:
		m.does(w, "reads back that the presented token is still there", func(n *State, me *worker) {
			n.reads(me)
			me.gen, me.pc = max(me.gen, n.vault.grant.gen+1), commit
		})
	default:
		m.does(w, "reads back that it was overtaken, and sets its answer aside", func(n *State, me *worker) {
			m.setAside(n, w, me.att)
			n.rest(w)
		})
	}
}

// publish is Engine.publishGrant: compare-and-set in a loop, which is one step.
func (m *machine) publish(w int, _ *worker) {
	what := "publishes the token"
	if m.s.vaultDown {
		what = "cannot publish the token"
	}
	m.does(w, what, func(n *State, me *worker) {
		if !n.vaultDown {
			n.publish(me.grant)
		}
		me.pc = clearCopies
	})
}

func (s *State) publish(g document) {
	if s.vault.gen > g.gen {
		return
	}
	s.vault.gen, s.vault.at, s.vault.person = g.gen, g.at, false
	s.checkPublished()
}

// clearCopies deletes the sealed copies.
func (m *machine) clearCopies(w int, _ *worker) {
	m.does(w, "clears the sealed copies away, and keeps the last answer", func(n *State, me *worker) {
		m.keepLast(n, w, me.att)
		m.deleteSealed(n, w, me.att)
		n.rest(w)
	})
}

// deleteSealed is Escrow.Delete.
func (m *machine) deleteSealed(n *State, w int, a attempt) {
	if !n.redisDown {
		n.copies[a] = noAnswer
	}
	if p := &n.processes[m.opts.home(w)]; !p.stuck {
		p.spool[a] = noAnswer
	}
}

// setAside is Engine.setAside. The model does not follow what lies in the folder
// aside: only a person can bring it back.
func (m *machine) setAside(n *State, w int, a attempt) { m.deleteSealed(n, w, a) }

// changedMeanwhile is Engine.lost up to its write, with Engine.changedMeanwhile.
func (m *machine) changedMeanwhile(w int, me *worker) {
	v := &m.s.vault
	switch {
	case m.s.vaultDown:
		m.storeFailed(w)
	case !m.stillOpen(me) || !v.grant.adopted(v.seed):
		m.does(w, "finds that something changed meanwhile", func(n *State, _ *worker) { n.rest(w) })
	case !m.lookedAgain(w, me):
		later, sure := m.later(w, me.grant)
		if !sure && me.answer != refused {
			m.does(w, "cannot know whether a later answer was kept", func(n *State, _ *worker) { n.rest(w) })
			return
		}
		m.does(w, "finds nothing that changed", func(n *State, me *worker) {
			n.reads(me)
			switch {
			case sure && later != 0:
				me.pc = bringForward
			case !n.expired(me.grant.at):
				me.pc = putOff
			default:
				me.pc = writeDead
			}
		})
	}
}

// lookedAgain looks for sealed answers once more, and reports whether that ended
// the turn or gave it another.
func (m *machine) lookedAgain(w int, me *worker) bool {
	for a := attempt(1); a < attempts; a++ {
		if m.s.facts[me.att].earlier>>a&1 == 0 {
			continue
		}
		got, sure := m.readSealed(m.opts.home(w), me.grant, a)
		switch {
		case !sure && !m.ownAttempts(w, me.grant), m.settling(w, a):
			m.does(w, "cannot know whether an answer was kept", func(n *State, _ *worker) { n.rest(w) })
			return true
		case got.token() != 0:
			m.does(w, "finds a sealed answer after all", func(n *State, me *worker) {
				n.reads(me)
				me.att, me.answer, me.held = a, got, false
				m.keep(n, w, me)
			})
			return true
		}
	}
	return false
}

// putOff is Engine.probeAfterExpiry.
func (m *machine) putOff(w int, _ *worker) {
	end := func(n *State, _ *worker) { n.rest(w) }
	m.puts(w, "puts the probe off until the access token has expired", func(n *State, me *worker) {
		me.grant.later = true
		n.put(me)
	}, end, end, end)
}

// writeDead is the end of Engine.lost.
func (m *machine) writeDead(w int, _ *worker) {
	end := func(n *State, _ *worker) { n.rest(w) }
	m.puts(w, "records that the grant is dead", func(n *State, me *worker) {
		m.checkDead(n, w, me)
		me.grant.state, me.grant.open, me.grant.later = dead, 0, false
		n.put(me)
	}, func(_ *State, me *worker) { me.pc = publishDead }, end, end)
}

// publishDead is Engine.publishDead.
func (m *machine) publishDead(w int, _ *worker) {
	if m.s.vaultDown {
		m.storeFailed(w)
		return
	}
	m.does(w, "publishes that a person must authorize again", func(n *State, me *worker) {
		if n.vault.gen <= me.grant.gen {
			n.vault.person = true
		}
		n.rest(w)
	})
}
