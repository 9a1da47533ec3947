package scheduler

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"refresher/internal/credential"
)

// outage is what keeps the fleet alive while Redis is away. Once Redis has been
// unreachable for long enough, this replica builds a queue of its own from Vault
// and works from that. Other replicas do the same; each credential is due at a
// random point of the time that its token has left, so that they seldom meet, and the
// intent in Vault keeps rotations single where they do. When Redis answers again the
// queue in memory is dropped; what stands in Redis is late at worst, and a visit
// that finds nothing due costs two reads.
type outage struct {
	after time.Duration
	spare func() (Queue, Leases)
	log   zerolog.Logger

	mu     sync.Mutex
	since  time.Time // of the first failure in a row
	queue  Queue     // while it lasts
	leases Leases
	probed time.Time
}

// probeEvery is how often Redis is tried while the process works from memory.
const probeEvery = 5 * time.Second

// note takes down how a claim from Redis went.
func (o *outage) note(err error, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		if o.queue != nil {
			o.log.Info().Msg("redis answers again; the queue in memory is dropped")
		}
		o.since, o.queue, o.leases = time.Time{}, nil, nil
	case o.since.IsZero():
		o.since = now
	}
}

// current returns the queue to claim from: nil for the one in Redis. begun is
// true once, when the queue in memory has just been made and is to be filled.
func (o *outage) current(now time.Time) (q Queue, l Leases, begun bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.spare == nil || o.since.IsZero() || now.Sub(o.since) < o.after {
		return nil, nil, false
	}
	if o.queue == nil {
		o.queue, o.leases = o.spare()
		o.probed = now
		o.log.Error().Time("since", o.since).Msg("redis cannot be reached: this replica renews from memory what is about to expire")
		return o.queue, o.leases, true
	}
	if now.Sub(o.probed) >= probeEvery {
		o.probed = now
		return nil, nil, false
	}
	return o.queue, o.leases, false
}

// active reports whether the process works from memory because Redis is away.
func (o *outage) active() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queue != nil
}

// FromMemory reports whether Redis is away and this replica works without it.
func (s *Scheduler) FromMemory() bool { return s.outage.active() }

// Fleet returns what is known of all credentials. It is partial while this replica
// works from memory, where only what is about to expire has a place.
func (s *Scheduler) Fleet(ctx context.Context) (entries []credential.Entry, partial bool, err error) {
	source := s.source()
	entries, err = source.Entries(ctx)
	return entries, source != s.Queue, err
}

// place returns the queue and the leases to work with now.
func (s *Scheduler) place(ctx context.Context) (Queue, Leases) {
	q, leases, begun := s.outage.current(time.Now())
	if q == nil {
		return s.Queue, s.Leases
	}
	if begun {
		s.workers.Go(func() { s.fillSpare(ctx, q) })
	}
	return q, leases
}

// source is where the fleet is indexed at the moment.
func (s *Scheduler) source() Queue {
	s.outage.mu.Lock()
	defer s.outage.mu.Unlock()
	if s.outage.queue != nil {
		return s.outage.queue
	}
	return s.Queue
}

// fillSpare reads from Vault what will expire, and when.
func (s *Scheduler) fillSpare(ctx context.Context, q Queue) {
	defer func() { s.defect(recover(), "the queue in memory may lack some") }()
	ids, _, err := s.scanner.list(ctx)
	if err != nil {
		s.Log.Error().Err(err).Msg("the fleet cannot be listed while redis is away")
		s.outage.forget(q)
		return
	}
	for _, id := range ids {
		if s.source() != q {
			return // Redis is back
		}
		token, err := s.scanner.token(ctx, id)
		if err != nil {
			// Nothing is known of it, so its turn comes at once: a visit reads it again.
			_, _ = q.Add(ctx, credential.Entry{ID: id, Due: time.Now()})
			continue
		}
		if entry, ok := spareEntry(id, token, time.Now(), rand.Float64()); ok {
			_, _ = q.Add(ctx, entry) // a queue in memory takes everything
		}
	}
	_ = q.MarkBuilt(ctx, s.scanner.mark(time.Now()))
}

// forget gives up a queue that could not be filled, so that it is tried again.
func (o *outage) forget(q Queue) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == q {
		o.queue, o.leases = nil, nil
	}
}

// spareEntry places a credential at a random point of the time that its token
// has left after its renewal was due. What does not expire can wait for Redis.
func spareEntry(id credential.ID, token credential.Token, now time.Time, random float64) (credential.Entry, bool) {
	if token.ExpiresAt.IsZero() || token.Status == credential.StatusRemoved {
		return credential.Entry{}, false
	}
	entry := entryOf(id, token, now)
	if left := token.ExpiresAt.Sub(entry.Due); left > 0 {
		entry.Due = entry.Due.Add(time.Duration(float64(left) * 0.9 * random))
	}
	return entry, true
}
