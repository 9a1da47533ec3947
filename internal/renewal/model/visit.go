package model

// visit is Engine.Renew, up to its first effect. What a visit reads is read at
// one moment: whatever it does next is checked against the version read. A visit
// that would do nothing is left out.
func (m *machine) visit(w int) {
	s := m.s
	if s.lease != 0 && !s.redisDown {
		return // without Redis every replica renews from memory
	}
	me := worker{version: s.vault.version, read: s.vault.grant, grant: s.vault.grant, gen: s.vault.gen}
	if me.grant.gen > s.vault.gen && me.grant.at != 0 {
		m.begins(w, me, "publishes what was committed and never published", func(n *State, me *worker) {
			n.publish(me.grant)
			n.rest(w)
		})
		return
	}
	switch m.newAuthorization(w, me) {
	case stale:
		m.begins(w, me, "takes the stored seed down as seen", func(n *State, me *worker) {
			newest := me.grant.newest
			if me.grant = me.grant.adopt(s.vault.seed); !m.opts.Break.StaleSeedLast {
				me.grant.newest = newest // an answer under way belongs to that one still
			}
			n.put(me)
			n.rest(w)
		})
		return
	case fresh: // adoptSeed
		me.grant = document{
			state: idle, rt: s.vault.seed, gen: max(me.grant.gen, s.vault.gen), seeds: m.withFormer(me.grant),
		}.adopt(s.vault.seed)
		m.present(w, me, false)
		return
	}
	if me.grant.state == intent && m.recoverSealed(w, me) {
		return
	}
	m.carryOut(w, me)
}

// withFormer is the seeds that were seen once the grant's token is replaced: a copy of
// that token is no new authorization.
func (m *machine) withFormer(g document) uint16 {
	if m.opts.Break.FormerForgotten || g.rt == 0 {
		return g.seeds
	}
	return g.seeds | 1<<g.rt
}

// begins emits the first step of a turn, which has the tenant's lease.
func (m *machine) begins(w int, me worker, what string, change func(n *State, me *worker)) {
	if me.drain {
		what += " in its spool"
	}
	// Nobody leaves an open intent or an answer alone for long that could be dealt
	// with. When a rotation comes is up to the timing.
	m.urgent = m.urgent || me.drain || me.grant.state == intent
	e := Event{kind: ofWorker, who: w, what: what, att: me.att, tok: me.grant.rt}
	m.happens(e, func(n *State) {
		n.workers[w] = me
		if !n.redisDown && !me.drain {
			n.lease = uint8(w) + 1
		}
		change(n, &n.workers[w])
	})
}

type authorization int

const (
	known authorization = iota
	stale
	fresh
)

// newAuthorization is Engine.newAuthorization, with staleSeed.
func (m *machine) newAuthorization(w int, me worker) authorization {
	seed := m.s.vault.seed
	switch {
	case me.grant.adopted(seed):
		return known
	case me.grant.rt == 0, me.grant.state == dead && m.opts.Break.DeadCopied:
		return fresh
	case seed == me.grant.rt:
		return stale
	case me.grant.state == dead:
		return fresh
	}
	switch spent, sure := m.spent(m.opts.home(w), seed); {
	case !sure:
		return known
	case spent:
		return stale
	default:
		return fresh
	}
}

// spent is Escrow.Spent. The second result is false if Redis had to be asked and could not.
func (m *machine) spent(process int, t token) (spent, ok bool) {
	switch {
	case m.opts.Break.NoSpentList:
		return false, true
	case !m.s.processes[process].spent.mayPresent(t, false):
		return true, true
	case m.s.redisDown:
		return false, false
	default:
		return !m.s.spent.mayPresent(t, false), true
	}
}

// recoverSealed is Engine.recoverSealed. It reports whether the visit is over.
func (m *machine) recoverSealed(w int, me worker) bool {
	if m.isHeld(w, me.grant.open) {
		return false
	}
	candidates := m.s.facts[me.grant.open].earlier | 1<<me.grant.open
	for a := attempts - 1; a > 0; a-- { // the open intent's attempt is the latest
		if candidates>>a&1 == 0 {
			continue
		}
		if found, over := m.settle(w, me, attempt(a)); found || over {
			return true
		}
	}
	return false
}

// settle is Engine.settle for an answer to the token that the document holds. It
// reports whether there is one, and whether the visit is over without.
func (m *machine) settle(w int, me worker, a attempt) (found, over bool) {
	if m.settling(w, a) {
		return false, true
	}
	got, ok := m.readSealed(m.opts.home(w), me.grant, a)
	if !ok && !m.ownAttempts(w, me.grant) {
		return false, true
	}
	if got == noAnswer || got.token() == 0 && m.s.processes[m.opts.home(w)].stuck {
		return false, false // one that is no rotation changes nothing while it cannot be deleted
	}
	me.att, me.answer = a, got
	m.bringHome(w, me)
	return true, false
}

// readSealed is Escrow.Read. The second result is false if it could not be known.
func (m *machine) readSealed(process int, g document, a attempt) (answer, bool) {
	if m.s.facts[a].token != g.rt {
		return noAnswer, true // bound to another token
	}
	if here := m.s.processes[process].spool[a]; here != noAnswer {
		return here, true
	}
	if m.s.redisDown {
		return noAnswer, false
	}
	return m.s.copies[a], true
}

// ownAttempts is turn.ownAttempts.
func (m *machine) ownAttempts(w int, g document) bool {
	f := m.s.facts[g.open]
	return g.state == intent && f.owner == m.s.processes[m.opts.home(w)].owner && !f.foreign
}

// bringHome is the rest of settle: judge, then Engine.bringHome or dismiss.
func (m *machine) bringHome(w int, me worker) {
	next := me.answer.token()
	switch {
	case next == 0:
		m.begins(w, me, "deletes a sealed answer that is no rotation", func(n *State, me *worker) {
			m.deleteSealed(n, w, me.att)
			n.rest(w)
		})
	case me.grant.at == next:
		m.begins(w, me, "finds a sealed answer that is committed already", func(_ *State, me *worker) { me.pc = publish })
	case me.grant.state != absent && me.grant.rt != m.s.facts[me.att].token:
		if used, ok := m.spent(m.opts.home(w), next); ok && used {
			m.begins(w, me, "clears a sealed answer away that was committed long ago", func(n *State, me *worker) {
				if m.s.facts[me.att].seed == me.grant.newest {
					m.keepLast(n, w, me.att)
				}
				m.deleteSealed(n, w, me.att)
				n.rest(w)
			})
			return
		}
		if m.isLater(me.grant, kept{next, m.s.facts[me.att].seed}) {
			m.begins(w, me, "finds an answer that Vault has forgotten", func(_ *State, me *worker) { me.pc = bringForward })
			return
		}
		m.begins(w, me, "sets a sealed answer aside that fits nothing", func(n *State, me *worker) {
			m.setAside(n, w, me.att)
			n.rest(w)
		})
	default:
		if me.grant.state == absent {
			me.grant = me.grant.adopt(m.s.facts[me.att].seed)
		}
		m.begins(w, me, "finds a sealed answer", func(n *State, me *worker) { m.keep(n, w, me) })
	}
}

// drain is Engine.Drain. It comes at every tick, so no time passes before it.
func (m *machine) drain(w int) {
	p := &m.s.processes[m.opts.home(w)]
	for a := attempt(1); a <= m.s.lastTry; a++ {
		got := p.spool[a]
		if got == noAnswer || m.isHeld(w, a) || m.settling(w, a) {
			continue
		}
		if g := m.s.vault.grant; p.stuck && (got.token() == 0 || g.at == got.token() || g.rt != m.s.facts[a].token) {
			continue // the file would stay where it is
		}
		m.bringHome(w, worker{
			drain: true, att: a, answer: got, version: m.s.vault.version, read: m.s.vault.grant, grant: m.s.vault.grant, gen: m.s.vault.gen,
		})
	}
}

// isHeld is Escrow.Held: a goroutine of the same process works on the attempt.
func (m *machine) isHeld(w int, a attempt) bool {
	for other := range m.s.workers {
		if m.opts.home(other) == m.opts.home(w) && m.s.workers[other].held && m.s.workers[other].att == a {
			return true
		}
	}
	return false
}

// settling is Engine.beginSettling's check.
func (m *machine) settling(w int, a attempt) bool {
	for other := range m.s.workers {
		o := &m.s.workers[other]
		if other != w && m.opts.home(other) == m.opts.home(w) && !o.held && o.pc != resting && o.att == a {
			return true
		}
	}
	return false
}

// carryOut is Engine.carryOut: it does what the service's own decide says.
func (m *machine) carryOut(w int, me worker) {
	switch m.rules.Decide(m.situation(w, me)) {
	case Present:
		m.present(w, me, false)
	case Probe:
		m.probe(w, me)
	case Claim:
		m.begins(w, me, "wants to take the open intent over", func(_ *State, me *worker) { me.pc = claim })
	case Watch:
		if p := &m.s.processes[m.opts.home(w)]; p.watch != me.grant.open {
			m.begins(w, me, "begins to watch the claim", func(n *State, me *worker) {
				n.processes[m.opts.home(w)].watches(me.grant.open)
				n.rest(w)
			})
		}
	case Dead:
		if later, sure := m.later(w, me.grant); sure && later != 0 {
			m.begins(w, me, "finds that a dead grant has a later token", func(_ *State, me *worker) { me.pc = bringForward })
		} else if !m.s.vault.person && m.s.vault.gen <= me.grant.gen {
			m.begins(w, me, "finds the grant dead", func(_ *State, me *worker) { me.pc = publishDead })
		}
	}
}

// probe is Engine.probe.
func (m *machine) probe(w int, me worker) {
	switch later, sure := m.later(w, me.grant); {
	case sure && later != 0:
		m.begins(w, me, "finds a later token instead of probing", func(_ *State, me *worker) { me.pc = bringForward })
	case sure || m.ownAttempts(w, me.grant):
		m.present(w, me, true)
	}
}

func (m *machine) situation(w int, me worker) Situation {
	s, p := m.s, &m.s.processes[m.opts.home(w)]
	x := Situation{
		Grant: s.grant(me.grant), Owner: ownerName(p.owner), Due: me.grant.gen < rotations || me.grant.at == 0,
		TokenExpiresAt: s.expiry(s.vault.at), Now: now,
	}
	if x.Grant.Intent != nil {
		x.Held = m.isHeld(w, me.grant.open)
		for a := attempt(1); a < attempts; a++ {
			x.Held = x.Held || s.facts[me.grant.open].earlier>>a&1 == 1 && m.isHeld(w, a)
		}
		if p.watch == me.grant.open {
			x.Watched = p.seen
		}
		if m.opts.Break.NoOwnerRule {
			x.Owner = x.Grant.Intent.Owner
		}
		if m.opts.Break.TakeoverAtOnce && x.Owner != x.Grant.Intent.Owner && !x.Grant.Intent.Claim {
			x.Grant.Intent.BeganAt, x.TokenExpiresAt = ago(oldest), ago(oldest)
		}
	}
	return x
}

// present is Engine.present up to the room.
func (m *machine) present(w int, me worker, probe bool) {
	room := !m.s.processes[m.opts.home(w)].stuck
	if !room && !m.opts.Break.NoRoom {
		return
	}
	me.probe, me.room = probe, room
	what := "makes room for an answer"
	if probe {
		what = "makes room for the answer to a probe"
	}
	m.begins(w, me, what, func(n *State, me *worker) {
		me.pc = writeIntent
		if m.opts.Break.NoIntent || m.opts.Break.IntentAfterCall {
			m.announce(n, w, me)
			me.pc = gate
		}
	})
}

// announce allots the attempt.
func (m *machine) announce(n *State, w int, me *worker) {
	old := n.facts[me.grant.open]
	if old.claim && old.earlier == 0 {
		me.grant.later = false // brought
	}
	me.att, me.held = n.newAttempt(facts{
		token: me.grant.rt, seed: me.grant.newest, owner: n.processes[m.opts.home(w)].owner, age: me.waited,
		probe: me.probe, foreign: me.grant.state == intent && old.foreign, earlier: m.carried(me.grant),
	}), true
}
