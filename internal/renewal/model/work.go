package model

// work emits the next step of a worker that is in the middle of its turn.
func (m *machine) work(w int) {
	steps := [...]func(*machine, int, *worker){
		resting:          func(*machine, int, *worker) {},
		writeIntent:      (*machine).writeIntent,
		readBackIntent:   (*machine).readBackIntent,
		gate:             (*machine).gate,
		send:             (*machine).send,
		await:            (*machine).await,
		seal:             (*machine).seal,
		copySeal:         (*machine).copySeal,
		commit:           (*machine).commit,
		readBack:         (*machine).readBack,
		publish:          (*machine).publish,
		clearCopies:      (*machine).clearCopies,
		closeIntent:      (*machine).closeIntent,
		changedMeanwhile: (*machine).changedMeanwhile,
		writeDead:        (*machine).writeDead,
		putOff:           (*machine).putOff,
		publishDead:      (*machine).publishDead,
		claim:            (*machine).claim,
		bringForward:     (*machine).bringForward,
	}
	steps[m.s.workers[w].pc](m, w, &m.s.workers[w])
}

// gives up a turn because a store could not do its part: Engine.storeFailed.
func (m *machine) storeFailed(w int) {
	m.does(w, "cannot reach Vault and gives up for now", func(n *State, _ *worker) { n.rest(w) })
}

// puts emits a check-and-set write of change(grant), followed by then. After a
// conflict, if the reading is too old, and if the answer gets lost, else decides.
func (m *machine) puts(w int, what string, put func(n *State, me *worker), then, lost, conflict func(n *State, me *worker)) {
	me := &m.s.workers[w]
	change := put
	put = func(n *State, me *worker) {
		if n.vault.grant != me.read {
			n.wrong = Blind
		}
		change(n, me)
	}
	switch {
	case m.s.vaultDown:
		m.storeFailed(w)
	case me.old && !m.opts.Break.OldReadings:
		m.does(w, "has read the grant too long ago to write", conflict)
	case m.s.vault.version != me.version:
		m.does(w, "finds another version in Vault", conflict)
	default:
		m.does(w, what, func(n *State, me *worker) {
			put(n, me)
			then(n, me)
		})
		m.fails(WriteAnswerLost, w, what+", and Vault's answer gets lost", false, func(n *State, me *worker) {
			put(n, me)
			lost(n, me)
		})
	}
}

// put is a check-and-set write that has passed the check.
func (s *State) put(me *worker) {
	s.vault.version++
	s.vault.grant = me.grant
	s.reads(me)
}

// reads has a worker know what Vault holds.
func (s *State) reads(me *worker) {
	me.version, me.read, me.old = s.vault.version, s.vault.grant, false
}

// writeIntent is Engine.writeIntent.
func (m *machine) writeIntent(w int, _ *worker) {
	put := func(n *State, me *worker) {
		if me.att == 0 {
			m.announce(n, w, me)
		}
		me.grant.state, me.grant.open = intent, me.att
		n.put(me)
	}
	then := func(_ *State, me *worker) { me.pc = gate }
	lost := func(_ *State, me *worker) { me.pc = readBackIntent }
	giveUp := func(n *State, _ *worker) { n.rest(w) }
	switch {
	case m.opts.Break.OnlyCommitChecks && !m.s.vaultDown:
		m.does(w, "writes the intent over whatever is there", func(n *State, me *worker) {
			put(n, me)
			then(n, me)
		})
	case m.opts.Break.IntentAfterCall:
		m.puts(w, "writes the intent, after the call", put, func(_ *State, me *worker) { me.pc = seal },
			func(_ *State, me *worker) { me.pc = seal }, func(_ *State, me *worker) { me.pc = seal })
	default:
		m.puts(w, "writes the intent", put, then, lost, giveUp)
	}
}

// readBackIntent is Engine.readBackIntent.
func (m *machine) readBackIntent(w int, me *worker) {
	switch {
	case m.s.vaultDown:
		m.storeFailed(w)
	case m.s.vault.grant.state == intent && m.s.vault.grant.open == me.att:
		m.does(w, "reads its intent back", func(n *State, me *worker) {
			n.reads(me)
			me.pc = gate
		})
	default:
		m.does(w, "reads back that its intent is not there", func(n *State, _ *worker) { n.rest(w) })
	}
}

// gate is exchange.gate, with Escrow.Present: check and mark, in Redis and on disk.
func (m *machine) gate(w int, me *worker) {
	s, p := m.s, &m.s.processes[m.opts.home(w)]
	t := me.grant.rt
	onDisk, inRedis := p.spent.mayPresent(t, me.probe), s.redisDown || s.spent.mayPresent(t, me.probe)
	switch {
	case me.waited > 0:
		m.notSent(w, "is too late to send", false)
	case !(onDisk && inRedis) && !m.opts.Break.NoSpentList:
		m.does(w, "is told by the spent list that the token went out before", func(n *State, me *worker) {
			m.toldSpent(n, w, me)
		})
	case p.stuck:
		m.notSent(w, "cannot write the spent list", true)
	default:
		m.does(w, "marks the token as sent", func(n *State, me *worker) {
			me.excused = onDisk && inRedis
			if !n.redisDown {
				n.spent = n.spent.with(t, markSent)
			}
			here := &n.processes[m.opts.home(w)]
			here.spent, me.pc = here.spent.with(t, markSent), send
		})
	}
}

// toldSpent is Engine.refused for a token that the spent list holds back.
func (m *machine) toldSpent(n *State, w int, me *worker) {
	later, sure := m.later(w, me.grant)
	switch {
	case me.probe:
		me.pc, me.held = changedMeanwhile, true
	case sure && later != 0:
		me.pc, me.held = bringForward, true
	default:
		n.rest(w) // stillOpen: a recorded probe decides
	}
}

// notSent is the end of Engine.refused for a call of which no byte left.
func (m *machine) notSent(w int, what string, marked bool) {
	m.does(w, what, func(n *State, me *worker) {
		if me.probe || marked && !m.unspent(n, w, me.grant.rt) {
			n.rest(w)
			return
		}
		me.pc = closeIntent
	})
}

// unspent is Escrow.Unspent.
func (m *machine) unspent(n *State, w int, t token) bool {
	p := &n.processes[m.opts.home(w)]
	if !n.redisDown {
		n.spent = n.spent.with(t, markUnspent)
	}
	if !p.stuck {
		p.spent = p.spent.with(t, markUnspent)
	}
	return !n.redisDown && !p.stuck
}

// send lets the first byte out.
func (m *machine) send(w int, me *worker) {
	if me.waited > 0 {
		m.notSent(w, "is too late to send", true)
		return
	}
	what := "sends the refresh token"
	if me.probe {
		what = "sends the refresh token as a recorded probe"
	}
	m.does(w, what, func(n *State, me *worker) {
		n.checkSend(me)
		n.unproven[me.grant.rt]++
		me.pc, me.underWay = await, true
	})
}

// await waits for the answer. Nothing that happens here ends the call but its own time limit.
func (m *machine) await(w int, me *worker) {
	ambiguous := func(n *State, me *worker) {
		if me.underWay {
			n.orphan(me.grant.rt, me.att)
		}
		n.rest(w) // stillOpen
	}
	if m.opts.Break.CancelOnLeaseLost && m.s.lease != uint8(w)+1 {
		m.does(w, "cancels its call because the lease is lost, and takes it for not sent", func(n *State, me *worker) {
			if me.underWay {
				n.orphan(me.grant.rt, me.att)
			}
			m.unspent(n, w, me.grant.rt)
			me.pc = closeIntent
		})
	}
	if me.underWay {
		m.fails(Delay, w, "gives up waiting, with its request still under way", false, ambiguous)
		return
	}
	m.does(w, "gets the answer", func(_ *State, me *worker) {
		me.pc = seal
		if m.opts.Break.IntentAfterCall {
			me.pc = writeIntent
		}
	})
	m.fails(AnswerLost, w, "does not get the answer", true, ambiguous)
	if me.waited > 0 {
		n := *m.s // the time limit of the call ran out while the process was stopped
		ambiguous(&n, &n.workers[w])
		m.emit(Event{who: w, kind: ofWorker, what: "wakes up too late for its answer", att: me.att, tok: me.grant.rt, loses: true}, &n)
	}
}

// seal is Slot.Seal, first half: the disk.
func (m *machine) seal(w int, _ *worker) {
	m.does(w, "seals the answer", func(n *State, me *worker) {
		if p := &n.processes[m.opts.home(w)]; !p.stuck {
			p.spool[me.att] = me.answer
		}
		me.pc = copySeal
	})
}

// copySeal is the second half, the copy in Redis, and what Engine.present does
// with the answer then: keep or refused.
func (m *machine) copySeal(w int, me *worker) {
	copied := func(n *State, me *worker) {
		if !n.redisDown {
			n.copies[me.att] = me.answer
		}
	}
	switch {
	case me.answer.token() != 0:
		m.does(w, "copies the answer to Redis, and reads a new token in it", func(n *State, me *worker) {
			copied(n, me)
			m.keep(n, w, me)
		})
	case me.answer == refused:
		m.does(w, "reads invalid_grant in the answer", func(n *State, me *worker) {
			m.deleteSealed(n, w, me.att)
			me.pc = changedMeanwhile
		})
	default:
		m.does(w, "reads in the answer that nothing was spent", func(n *State, me *worker) {
			m.deleteSealed(n, w, me.att)
			n.unproven[me.grant.rt]--
			if me.probe || !m.unspent(n, w, me.grant.rt) {
				n.rest(w)
				return
			}
			me.pc = closeIntent
		})
	}
}

// closeIntent is Engine.unspent.
func (m *machine) closeIntent(w int, me *worker) {
	end := func(n *State, _ *worker) { n.rest(w) }
	if me.old && !m.s.vaultDown && m.stillOpen(me) {
		m.does(w, "finds its intent still there", func(n *State, me *worker) { n.reads(me) })
		return
	}
	m.puts(w, "closes the intent: the token is unspent", func(n *State, me *worker) {
		me.grant.state, me.grant.open, me.grant.later = idle, 0, false
		n.put(me)
	}, end, end, end)
}

// stillOpen is Engine.readIntentAgain.
func (m *machine) stillOpen(me *worker) bool {
	v := &m.s.vault
	return v.version == me.version && v.grant.state == intent && v.grant.open == me.att
}

// claim is Engine.claim.
func (m *machine) claim(w int, _ *worker) {
	end := func(n *State, _ *worker) { n.rest(w) }
	m.puts(w, "claims the open intent", func(n *State, me *worker) {
		me.att = n.newAttempt(facts{
			token: me.grant.rt, seed: me.grant.newest, owner: n.processes[m.opts.home(w)].owner, age: me.waited,
			claim: true, foreign: true, earlier: m.carried(me.grant),
		})
		me.grant.open = me.att
		n.put(me)
	}, func(n *State, me *worker) {
		n.processes[m.opts.home(w)].watches(me.att)
		n.rest(w)
	}, end, end)
}
