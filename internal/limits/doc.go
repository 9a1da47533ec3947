// Package limits keeps the service from asking more of a provider than it bears:
// how often and how many at once, shared by all replicas, and not at all while a
// host does not answer.
//
// # Budgets
//
// A Budget limits the calls of one key, which is a provider, or a key set where
// the provider counts so. Redis shares it between replicas; Memory is for one
// process without Redis. Both behave alike, which one suite of tests holds them to.
//
//	turn, err := limiter.Take(ctx, "kibo:acme", budget, time.Now(), memo.SlotAt)
//	if err == nil && !turn.OK { ... put the renewal off until turn.SlotAt, and keep that in its memo
//	defer turn.Release(ctx)
//
// Take never waits. Whoever cannot call at once is given a place: the time at
// which the rate lets them, and which nobody else is given. They come back with
// it at that time and are not charged again; so each call is charged once, those
// who wait are served in the order in which they came, and a crowd that is released
// at once is spread over the time that it needs instead of coming back together.
//
//	         Take                        Take with slot
//	new ------+---> OK ---> Release            |
//	          |      ^                         |
//	          |      | from SlotAt on,         |
//	          |      | within a minute         |
//	          v      |                         |
//	      has a place ---- all at work: again within a second, charged no more
//	          |
//	          +---- more than a minute late: the place is gone, as if new
//
// The rate is a GCRA, a leaky bucket that remembers only when the next call would
// come if all came evenly. The limit of concurrency is a set of holders, each of
// which counts until it is released, or for Budget.Hold if it vanished.
//
// Both trust the time that the caller passes. Replicas whose clocks disagree by a
// second shift places by a second; the rate holds all the same.
//
// # The breaker
//
// A host that is down should fail once and not once per credential. Breaker counts
// failures per host, in this process alone, and ReleaseAt says when those who
// waited for a host should come back.
//
//	             N failures in a row
//	closed -----------------------------> open <-----------------+
//	  ^                                    | the period is over: | failure: open again,
//	  |                                    | one probe           | for twice as long
//	  |               success              v                     |
//	  +------------------------------- half open ----------------+
//
// # Layout in Redis
//
//	<prefix>:{limit:<key>}:rate      string: when the next call would come evenly, in Unix microseconds
//	<prefix>:{limit:<key>}:holders   sorted set: a random ID for each holder, scored with its end in Unix microseconds
package limits
