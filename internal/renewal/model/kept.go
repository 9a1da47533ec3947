package model

// kept is an answer that was committed: the token in it, and the seed of its authorization.
type kept struct{ token, seed token }

// keepLast is Escrow.Keep: each place has the last committed answer.
func (m *machine) keepLast(n *State, w int, a attempt) {
	p := &n.processes[m.opts.home(w)]
	here := p.spool[a]
	got := here
	if got == noAnswer && !n.redisDown {
		got = n.copies[a]
	}
	if got.token() == 0 || m.opts.Break.NothingKept {
		return
	}
	if !n.redisDown {
		n.kept = n.kept.or(kept{got.token(), n.facts[a].seed})
	}
	if here != noAnswer && !p.stuck {
		p.kept = p.kept.or(kept{here.token(), n.facts[a].seed})
	}
}

// or is the one of two answers that came later.
func (k kept) or(other kept) kept {
	if k.token.family() == other.token.family() && k.token.index() > other.token.index() {
		return k
	}
	return other
}

// isLater is escrow.Lineage.After: an index says how often the token was replaced.
func (m *machine) isLater(g document, k kept) bool {
	return k.token != 0 && g.rt != 0 && k.seed == g.newest && k.token.family() == g.rt.family() && k.token.index() > g.rt.index()
}

// later is what Engine.bringForward finds: the latest token within reach of the document's
// authorization, 0 if none is later than its own. It is not sure if Redis cannot be asked.
func (m *machine) later(w int, g document) (t token, sure bool) {
	p := &m.s.processes[m.opts.home(w)]
	latest := kept{}
	consider := func(k kept) {
		if m.isLater(g, k) {
			latest = latest.or(k)
		}
	}
	consider(p.kept)
	consider(m.s.kept)
	for a := range attempts {
		consider(kept{p.spool[a].token(), m.s.facts[a].seed})
		consider(kept{m.s.copies[a].token(), m.s.facts[a].seed})
	}
	return latest.token, !m.s.redisDown
}

// bringForward is Engine.forward.
func (m *machine) bringForward(w int, me *worker) {
	later, sure := m.later(w, me.grant)
	if !sure || later == 0 {
		m.does(w, "cannot read the kept answer any more", func(n *State, _ *worker) { n.rest(w) })
		return
	}
	end := func(n *State, _ *worker) { n.rest(w) }
	m.puts(w, "brings the grant forward to a later token", func(n *State, me *worker) {
		me.grant.seeds = m.withFormer(me.grant)
		me.grant.rt, me.grant.at, me.grant.gen = later, later, max(me.grant.gen, me.gen)+1
		m.claimed(n, w, me)
		me.att = me.grant.open
		n.put(me)
	}, func(_ *State, me *worker) { me.pc = publish }, end, end)
}

// claimed is Engine.claimed.
func (m *machine) claimed(n *State, w int, me *worker) {
	me.grant.state, me.grant.later = intent, true
	me.grant.open = n.newAttempt(facts{
		token: me.grant.rt, seed: me.grant.newest, owner: n.processes[m.opts.home(w)].owner, age: me.waited, claim: true, foreign: true,
	})
}
