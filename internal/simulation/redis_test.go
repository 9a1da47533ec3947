package simulation

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/internal/queue"
	"refresher/scheduler"
)

// redis is what all processes share and nobody may rely on: the queue, the
// leases, the copies of sealed answers and the spent list.
type redis struct {
	place
	queue  *queue.Memory
	leases map[string]held
	copies map[escrow.Ref][]byte
	kept   map[credential.ID]keptAnswer
	told   map[string]bool // attempts of which there was a copy since Redis last lost everything
	marks  map[string]string
	sentAt map[string]time.Time
	// flushes counts how often everything was lost.
	flushes int
}

// keptAnswer is the last committed answer of a credential.
type keptAnswer struct {
	attempt  string
	of       escrow.Lineage
	sealedAt time.Time
	sealed   []byte
}

type held struct {
	owner string
	until time.Time
}

func newRedis(o odds) *redis {
	r := &redis{place: place{name: "redis", timeout: redisTimeout, fail: o.redisFail, lost: o.redisLost}}
	r.flush()
	r.flushes = 0
	return r
}

func (r *redis) flush() {
	r.queue, r.leases = queue.NewMemory(), map[string]held{}
	r.copies, r.told, r.marks = map[escrow.Ref][]byte{}, map[string]bool{}, map[string]string{}
	r.sentAt = map[string]time.Time{}
	r.kept = map[credential.ID]keptAnswer{}
	r.flushes++
}

// redisOf is Redis as one process reaches it.
type redisOf struct{ *process }

func (r redisOf) do(ctx context.Context, op, about string, work func(*redis)) error {
	redis := r.world.redis
	return r.effect(ctx, &redis.place, op, about, func() error {
		work(redis)
		return nil
	})
}

// Put implements escrow.Copies.
func (r redisOf) Put(ctx context.Context, ref escrow.Ref, sealed []byte) error {
	return r.do(ctx, "copy.put", r.world.book.name(ref.Attempt), func(redis *redis) {
		r.world.evidence.keep("redis", sealed)
		if redis.told[ref.Attempt] = true; redis.copies[ref] == nil {
			redis.copies[ref] = slices.Clone(sealed)
		}
	})
}

// Get implements escrow.Copies.
func (r redisOf) Get(ctx context.Context, ref escrow.Ref) (sealed []byte, err error) {
	err = r.do(ctx, "copy.get", r.world.book.name(ref.Attempt), func(redis *redis) { sealed = redis.copies[ref] })
	if err != nil {
		return nil, err
	}
	return sealed, nil
}

// Delete implements escrow.Copies.
func (r redisOf) Delete(ctx context.Context, ref escrow.Ref) error {
	return r.do(ctx, "copy.delete", r.world.book.name(ref.Attempt), func(redis *redis) { delete(redis.copies, ref) })
}

// Keep implements escrow.Copies.
func (r redisOf) Keep(ctx context.Context, ref escrow.Ref, of escrow.Lineage, sealed []byte) error {
	return r.do(ctx, "copy.keep", r.world.book.name(ref.Attempt), func(redis *redis) {
		r.world.evidence.keep("redis", sealed)
		r.world.evidence.keepValue("redis", of)
		if !redis.kept[ref.ID].of.After(of) {
			redis.kept[ref.ID] = keptAnswer{ref.Attempt, of, time.Now(), slices.Clone(sealed)}
		}
		delete(redis.copies, ref)
	})
}

// All implements escrow.Copies.
func (r redisOf) All(ctx context.Context, id credential.ID) (all [][]byte, err error) {
	err = r.do(ctx, "copy.all", id.String(), func(redis *redis) {
		for ref, sealed := range redis.copies {
			if ref.ID == id {
				all = append(all, sealed)
			}
		}
		if kept, ok := redis.kept[id]; ok {
			all = append(all, kept.sealed)
		}
		slices.SortFunc(all, bytes.Compare) // the seed decides, and nothing else
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Present implements escrow.Copies, as the script in Redis does.
func (r redisOf) Present(ctx context.Context, hash string, probe bool, apart time.Duration) error {
	var refused error
	err := r.do(ctx, "spent.present", r.world.book.name(hash), func(redis *redis) {
		r.world.evidence.keep("redis", []byte(hash))
		switch mark := redis.marks[hash]; {
		case mark == "sent" && probe && time.Since(redis.sentAt[hash]) < apart:
			refused = escrow.ErrTooSoon
		case mark == "", mark == "unspent", mark == "sent" && probe:
			redis.marks[hash], redis.sentAt[hash] = "sent", time.Now()
		case mark == "rotated":
			refused = escrow.ErrRotated
		default:
			refused = escrow.ErrSpentElsewhere
		}
	})
	return cmp.Or(err, refused)
}

// Mark implements escrow.Copies.
func (r redisOf) Mark(ctx context.Context, hash, mark string) error {
	return r.do(ctx, "spent.mark", r.world.book.name(hash), func(redis *redis) { redis.marks[hash] = mark })
}

// Spent implements escrow.Copies.
func (r redisOf) Spent(ctx context.Context, hash string) (spent bool, err error) {
	err = r.do(ctx, "spent.read", r.world.book.name(hash), func(redis *redis) {
		spent = redis.marks[hash] != "" && redis.marks[hash] != "unspent"
	})
	return spent && err == nil, err
}

// Tell implements escrow.Copies.
func (r redisOf) Tell(ctx context.Context, told escrow.Told) error {
	return r.do(ctx, "copy.tell", "", func(redis *redis) {
		for _, kept := range told.Kept {
			if known, ok := redis.kept[kept.Ref.ID]; !ok || kept.Of.After(known.of) || kept.Of.Seed != known.of.Seed && kept.SealedAt.After(known.sealedAt) {
				redis.kept[kept.Ref.ID] = keptAnswer{kept.Ref.Attempt, kept.Of, kept.SealedAt, kept.Sealed}
			}
		}
		for _, m := range told.Marks {
			if mark := redis.marks[m.Hash]; mark == "" || mark == "sent" && m.Mark == "rotated" {
				redis.marks[m.Hash], redis.sentAt[m.Hash] = m.Mark, time.Now().Add(m.Left-spentRetention)
			}
		}
	})
}

// queueOf is the queue in Redis as one process reaches it.
type queueOf struct{ redisOf }

// Claim implements scheduler.Queue. What is due comes in the order of its names,
// because its due time may hang on a random number of the scheduler's.
func (q queueOf) Claim(ctx context.Context, now time.Time, limit int, visibility time.Duration) (c queue.Claim, err error) {
	err = q.do(ctx, "queue.claim", "", func(redis *redis) {
		c, _ = redis.queue.Claim(ctx, now, limit, visibility)
		sortByName(c)
		c.Forgot = !q.claimed || q.flushes != redis.flushes
		q.claimed, q.flushes = true, redis.flushes
	})
	if err != nil {
		return queue.Claim{}, err
	}
	return c, nil
}

// Schedule implements scheduler.Queue.
func (q queueOf) Schedule(ctx context.Context, e credential.Entry, until time.Time) error {
	return q.do(ctx, "queue.schedule", e.ID.String(), func(redis *redis) {
		q.world.evidence.keepValue("redis", e)
		_ = redis.queue.Schedule(ctx, unhurried(e), until)
		q.world.lags.lookAtQueue()
	})
}

// unhurried has an entry come back after the longest wait that a random number can
// make of a short one, so that the number does not matter.
func unhurried(e credential.Entry) credential.Entry {
	if soonest := time.Now().Add(longestShortWait); e.Due.Before(soonest) {
		e.Due = soonest
	}
	return e
}

// Add implements scheduler.Index.
func (q queueOf) Add(ctx context.Context, entries ...credential.Entry) (n int, err error) {
	err = q.do(ctx, "queue.add", "", func(redis *redis) {
		q.world.evidence.keepValue("redis", entries)
		n, _ = redis.queue.Add(ctx, entries...)
		q.world.lags.lookAtQueue()
	})
	return n, err
}

// Expedite implements scheduler.Index.
func (q queueOf) Expedite(ctx context.Context, id credential.ID, now time.Time, forced bool) error {
	return q.do(ctx, "queue.expedite", id.String(), func(redis *redis) {
		_ = redis.queue.Expedite(ctx, id, now, forced)
		q.world.lags.lookAtQueue()
	})
}

// Remove implements scheduler.Index.
func (q queueOf) Remove(ctx context.Context, ids ...credential.ID) error {
	return q.do(ctx, "queue.remove", "", func(redis *redis) {
		_ = redis.queue.Remove(ctx, ids...)
		q.world.lags.lookAtQueue()
	})
}

// Entries implements scheduler.Index.
func (q queueOf) Entries(ctx context.Context) (all []credential.Entry, err error) {
	err = q.do(ctx, "queue.entries", "", func(redis *redis) { all, _ = redis.queue.Entries(ctx) })
	return all, err
}

// MarkBuilt implements scheduler.Index.
func (q queueOf) MarkBuilt(ctx context.Context, by string) error {
	return q.do(ctx, "queue.built", "", func(redis *redis) { _ = redis.queue.MarkBuilt(ctx, by) })
}

// spareQueue is the queue in memory of a process that has to do without Redis.
// The random point in a token's time at which it becomes due is the seed's here.
type spareQueue struct {
	*queue.Memory
	process *process
}

// Add implements scheduler.Index.
func (q spareQueue) Add(ctx context.Context, entries ...credential.Entry) (int, error) {
	w := q.process.world
	for i, e := range entries {
		if left := time.Until(e.Memo.ExpiresAt); left > 0 && e.Due.After(time.Now()) {
			key := q.process.seat.name + " spare " + e.ID.String()
			entries[i].Due = time.Now().Add(w.plan.stretch(0, left*9/10, "spare", key, w.gate.number(key)))
		}
	}
	return q.Memory.Add(ctx, entries...)
}

// Schedule implements scheduler.Queue.
func (q spareQueue) Schedule(ctx context.Context, e credential.Entry, until time.Time) error {
	return q.Memory.Schedule(ctx, unhurried(e), until)
}

// Claim implements scheduler.Queue.
func (q spareQueue) Claim(ctx context.Context, now time.Time, limit int, visibility time.Duration) (queue.Claim, error) {
	c, err := q.Memory.Claim(ctx, now, limit, visibility)
	sortByName(c)
	return c, err
}

func sortByName(c queue.Claim) {
	slices.SortFunc(c.Entries, func(a, b queue.Claimed) int { return strings.Compare(a.ID.String(), b.ID.String()) })
}

// leasesOf are the leases in Redis as one process takes them; the rules are those
// of package leases.
type leasesOf struct{ redisOf }

// Acquire implements scheduler.Leases.
func (l leasesOf) Acquire(ctx context.Context, key string) (credential.Lease, error) {
	mine := &lease{leases: l, key: key, until: time.Now().Add(leaseTTL * 49 / 50), stop: make(chan struct{})}
	mine.owner = fmt.Sprintf("%s %d", l.seat.name, l.world.gate.number("lease "+l.seat.name))
	ours := false
	err := l.do(ctx, "lease.acquire", key, func(redis *redis) {
		if other := redis.leases[key]; time.Now().Before(other.until) {
			return
		}
		redis.leases[key], ours = held{mine.owner, time.Now().Add(leaseTTL)}, true
	})
	switch {
	case err != nil:
		return nil, err
	case !ours:
		return nil, credential.ErrLeaseHeld
	}
	go mine.keep(context.WithoutCancel(ctx))
	return mine, nil
}

// lease implements credential.Lease.
type lease struct {
	leases     leasesOf
	key, owner string
	stop       chan struct{}
	once       sync.Once

	mu    sync.Mutex
	until time.Time // the trust's end; zero when it is over
}

// Held implements credential.Lease.
func (l *lease) Held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until)
}

func (l *lease) trust(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
}

// Release implements credential.Lease.
func (l *lease) Release(ctx context.Context) {
	l.once.Do(func() {
		close(l.stop)
		l.trust(time.Time{})
		_ = l.leases.do(ctx, "lease.release", l.key, func(redis *redis) {
			if redis.leases[l.key].owner == l.owner {
				delete(redis.leases, l.key)
			}
		})
	})
}

// keep extends the lease until it is released or lost.
func (l *lease) keep(ctx context.Context) {
	for wait := leaseTTL / 3; ; {
		timer := time.NewTimer(wait)
		select {
		case <-l.stop:
			timer.Stop()
			return
		case <-timer.C:
		}
		if !l.Held() || l.leases.dead.Load() {
			return
		}
		ours, sent := false, time.Now()
		err := l.leases.do(ctx, "lease.extend", l.key, func(redis *redis) {
			if redis.leases[l.key].owner == l.owner && time.Now().Before(redis.leases[l.key].until) {
				redis.leases[l.key], ours = held{l.owner, time.Now().Add(leaseTTL)}, true
			}
		})
		switch {
		case err != nil:
			wait = leaseTTL / 15
		case !ours:
			l.trust(time.Time{})
			return
		case l.Held():
			l.trust(sent.Add(leaseTTL * 49 / 50))
			wait = leaseTTL / 3
		}
	}
}

var (
	_ scheduler.Queue  = queueOf{}
	_ scheduler.Queue  = spareQueue{}
	_ scheduler.Leases = leasesOf{}
)
