package simulation

import (
	"context"
	"sync"
	"time"

	"refresher/internal/credential"
)

// What may lag behind, and for how long once nothing goes wrong any more. Whoever dies
// leaves a claim and a lease, which end within a minute, and then comes the next tick.
const (
	lossBound  = time.Minute      // a loss, if nothing goes wrong meanwhile
	lagBound   = 2 * time.Minute  // everything else, and what was disturbed
	redisBound = 10 * time.Minute // after a loss of Redis: the queue is built anew
	// scanBound is for what only a scan can notice: the replica that scans may have died, and
	// others leave it one round and a half before theirs.
	scanBound = 5*scanEvery/2 + lagBound
	grantLife = 14 * 24 * time.Hour
)

// lags judge what has to follow something within a time: the publication a commit (I4), and
// what the alerts go by what happens to a grant (I7). The time is counted from the last thing
// that went wrong with those who could see to it: a death, a pause, or a request about the
// credential that failed. While Vault is away or nobody runs it is not counted at all. The
// conductor alone looks at it, and whoever has an effect.
type lags struct {
	world *world
	// mu is for the race detector, to which two goroutines that the conductor lets go on one after
	// the other have nothing to do with each other if time alone has woken them.
	mu    sync.Mutex
	open  map[lagKey]*lag
	memos map[credential.ID]credential.Memo // as the queue has them
	dues  map[credential.ID]time.Time
	// redisBack is when Redis had last lost something, or came back.
	redisBack time.Time
}

type lagKey struct {
	id   credential.ID
	what string
}

type lag struct {
	since     time.Time
	bound     time.Duration
	disturbed bool
	// forgiven: it began with Vault being put back, of which the queue knows nothing.
	forgiven bool
	// whose spool an answer waits in.
	whose *process
}

func newLags(w *world) *lags {
	return &lags{world: w, open: map[lagKey]*lag{}, memos: map[credential.ID]credential.Memo{}, dues: map[credential.ID]time.Time{}}
}

// What can lag.
const (
	lagPublished = "I4: what is published is a commit behind"
	lagAnswer    = "I2: an answer waits in a spool that is in use"
	lagDeath     = "I7: a grant was written off, and nobody is asked to authorize"
	lagStatus    = "I7: a person is asked to authorize, and the queue does not know it"
	lagExpiry    = "I7: the queue does not know when the grant ends"
	lagIntent    = "I7: an intent is open, and the queue does not know it"
)

// behind returns what lags behind for a credential, and for how long it may.
func (l *lags) behind(s *subject) map[string]time.Duration {
	w := l.world
	c, g, t := w.vault.credentials[s.id].data, w.vault.grants[s.id].data, w.vault.tokens[s.id].data
	found := map[string]time.Duration{}
	if c == nil {
		return found // deleted: nobody looks after it
	}
	memo, queued := l.memos[s.id]
	known := lagBound
	if !queued {
		known = scanBound // it was deleted, and comes back with a scan
	}
	if g.Generation > t.Generation && g.AccessToken != "" {
		found[lagPublished] = lagBound
	}
	if w.book.waitsInUse(s.id) {
		found[lagAnswer] = known // of a credential that was away, it is looked at as seldom
	}
	seed := credential.Secret(c.Field("refresh_token"))
	newer := t.Generation > g.Generation && !t.Expired(time.Now())
	if g.State == credential.GrantDead && g.Adopted(seed) && !c.Paused && !newer && t.Status != credential.StatusNeedsAuthorization {
		found[lagDeath] = lossBound
	}
	if g.State == credential.GrantDead && t.Status == credential.StatusNeedsAuthorization && memo.Status != t.Status {
		found[lagStatus] = known
	}
	if living := g.State != "" && g.State != credential.GrantDead; living && l.endsUnseen(memo, g) {
		found[lagExpiry] = known + rotationTimeout // who waits for the answer tells the queue then
	}
	if g.Intent != nil && memo.IntentSince.IsZero() {
		found[lagIntent] = known + rotationTimeout // likewise
	}
	return found
}

// endsUnseen reports whether a grant could end without an alert: its end is not known, or
// thought to come later, by more than Vault was put back. Who stood still may bring back an
// earlier one, which does no harm.
func (l *lags) endsUnseen(memo credential.Memo, g credential.Grant) bool {
	ends := g.RefreshTokenIssuedAt.Add(grantLife + l.world.putBack + time.Second)
	return memo.GrantExpiresAt.IsZero() || memo.GrantExpiresAt.After(ends)
}

// look takes down what has begun to lag, and judges what does so no more.
func (l *lags) look() { l.lookAgain(lag{}) }

// edited does that after a person has changed something, which the next scan notices.
func (l *lags) edited() { l.lookAgain(lag{bound: scanBound}) }

// restored does that after Vault was put back.
func (l *lags) restored() { l.lookAgain(lag{forgiven: true}) }

func (l *lags) lookAgain(fresh lag) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.world.subjects {
		found := l.behind(s)
		for _, what := range []string{lagPublished, lagAnswer, lagDeath, lagStatus, lagExpiry, lagIntent} {
			key := lagKey{s.id, what}
			bound, behind := found[what]
			switch it := l.open[key]; {
			case behind && it == nil:
				bound = max(bound, fresh.bound) + l.unclaimed(key)
				l.open[key] = &lag{since: l.from(), bound: bound, forgiven: fresh.forgiven, whose: l.keeper(key)}
			case behind:
				it.bound, it.whose = max(it.bound, bound), l.keeper(key)
			case it != nil:
				l.judge(key, it)
				delete(l.open, key)
			}
		}
	}
}

// unclaimed returns how long it is to a credential's own turn if nobody holds a claim to it.
// What takes effect then was written by one who stood still until others had been there, or
// by one who had given that up; and nobody comes to see before.
func (l *lags) unclaimed(key lagKey) time.Duration {
	if turn := time.Until(l.dues[key.id]); turn > leaseTTL && key.what != lagAnswer {
		return turn
	}
	return 0
}

// keeper returns the process whose spool an answer waits in, nil if that is not what lags.
func (l *lags) keeper(key lagKey) *process {
	if key.what != lagAnswer {
		return nil
	}
	return l.world.book.waiting[key.id].spool.user
}

// lookAtQueue looks again, at what the queue says now.
func (l *lags) lookAtQueue() {
	entries, _ := l.world.redis.queue.Entries(context.Background())
	clear(l.memos)
	clear(l.dues)
	for _, e := range entries {
		l.memos[e.ID], l.dues[e.ID] = e.Memo, e.Due
	}
	l.look()
}

// judge fails if something lags for too long.
func (l *lags) judge(key lagKey, it *lag) {
	if it.forgiven || l.halted() {
		return
	}
	if it.disturbed {
		it.bound = max(it.bound, lagBound)
	}
	if p := it.whose; p != nil && p.pauseEnd().After(it.since) {
		it.since = p.pauseEnd() // others may do it, but need not
	}
	limit := it.since.Add(it.bound)
	if !l.redisBack.IsZero() && limit.Before(l.redisBack.Add(redisBound)) {
		limit = l.redisBack.Add(redisBound)
	}
	if late := time.Since(limit); late > 0 {
		l.world.wrong("%s, for %s, since %.3f and for %v too long", key.what, key.id, it.since.Sub(l.world.began).Seconds(), late)
	}
}

// halted reports whether nobody could see to anything: Vault or Redis is away, or
// nobody runs.
func (l *lags) halted() bool {
	return l.world.vault.down || l.world.redis.down || l.ableAt().After(time.Now())
}

// ableAt returns when somebody runs who is not paused; a time far away if nobody is there.
func (l *lags) ableAt() time.Time {
	at := l.world.began.Add(1000 * time.Hour)
	for _, s := range l.world.seats {
		if p := s.process; p != nil && !p.stopping && p.pauseEnd().Before(at) {
			at = p.pauseEnd()
		}
	}
	return at
}

// from is when somebody can see to what lags from now on. While nobody runs it is now: the
// next one that starts has it counted anew.
func (l *lags) from() time.Time {
	now := time.Now()
	if able := l.ableAt(); able.After(now) && able.Before(now.Add(time.Hour)) {
		return able
	}
	return now
}

// called does not count the time of a call for those whose turn comes after it: one worker
// at a time is at a tenant.
func (l *lags) called(id credential.ID, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, it := range l.open {
		if key.id.Tenant == id.Tenant && key.id != id {
			it.since = it.since.Add(min(took, max(time.Since(it.since), 0)))
		}
	}
}

// disturb judges what has lagged so far, and has its time counted anew once something has
// gone wrong: for one credential, or for all. change is what goes wrong.
func (l *lags) disturb(about string, change func()) {
	l.each(about, l.judge)
	change()
	from := l.from()
	l.each(about, func(_ lagKey, it *lag) { it.since, it.disturbed = from, true })
}

// each does something with all that lags and that a request is about.
func (l *lags) each(about string, do func(lagKey, *lag)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, it := range l.open {
		if concerns(about, key.id) {
			do(key, it)
		}
	}
}

// concerns reports whether a request is about a credential, its tenant, or all.
func concerns(about string, id credential.ID) bool {
	return about == "" || about == id.String() || about == "tenant:"+id.Tenant
}

// redisLoses takes down that Redis lost something, or is back.
func (l *lags) redisLoses() {
	l.redisBack = time.Now()
	l.lookAtQueue()
}
