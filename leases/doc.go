// Package leases lets one worker at a time work on a tenant, or on the scan, so
// that work is not done twice. Redis shares leases between replicas; Memory is for
// one process without Redis.
//
//	lease, err := leases.Acquire(ctx, "tenant:acme")
//	if errors.Is(err, credential.ErrLeaseHeld) { ... another worker is at it: leave it to them
//	defer lease.Release(ctx)
//	...
//	if !lease.Held() { ... stop before the next step that costs something
//
// # What a lease promises, and what it does not
//
// A lease is for saving work. It is no fence: a worker may be paused for minutes
// between a look at Held and the next line, its lease may expire and be given to
// another, and nobody stops the first when it wakes up. A Redis that fails over
// forgets leases that its replica had not heard of. So two workers can believe in
// the same lease, and whatever must not happen twice has to be fenced where it
// happens, as a rotation is by its check-and-set in Vault.
//
// Held is true only while the lease is surely ours: as long as it would last if
// Redis had counted from the moment before our last successful request was sent,
// less a fiftieth of the TTL for clocks that do not run alike. It asks nobody and
// does not block. Once a lease is lost it stays lost.
//
// Acquire does not wait for a lease and does not queue for it. It returns
// credential.ErrLeaseHeld, wrapped, if another has it, and any other error if it
// is not known what Redis did. It may be called again after either. If Redis did
// set the lease and only its answer was lost, nobody holds the lease, nobody
// extends it, and it expires by itself within the TTL. A client of go-redis that
// repeats a request whose answer was lost does no harm: the owner value tells the
// repetition from another worker.
//
// Every lease must be released, whatever became of it, or it is extended for as
// long as the process lives. Release deletes it only if it is still ours, may be
// called more than once, and works with a context that has ended, within a time
// limit of its own. If Redis cannot be reached, the lease expires by itself.
//
// # States
//
//	              Acquire
//	                 |
//	      no answer, |  another's value
//	   +-------------+-------------> error, nothing to release
//	   |             | set, in time
//	   |             v
//	   |    +---> held -----------------------------------+
//	   |    |        | every third of the TTL:            |
//	   |    |        | extend, if the value is ours       |
//	   |    |        v                                    |
//	   |    +--- extending ---> no answer: again, each    | Release
//	   |      ours      |       fifteenth of the TTL,     |
//	   |                |       until the trust ends      |
//	   |      another's |          |                      |
//	   |      or gone   v          v                      v
//	   |               lost <------+------ Release --> released
//	   v                |                                 |
//	expires in Redis <--+                                 +--> deleted in Redis
//
// # Layout in Redis
//
//	<prefix>:lease:<key>   string: a random value for each lease, expiring with the TTL
package leases
