// Package queue is the index of what is due when: one entry for each credential,
// with the time at which it next needs attention and a memo of how it fares. It
// holds no secrets, and all of it can be rebuilt from Vault.
//
// Redis shares the index between replicas; Memory is the same for one process
// without Redis. Both behave alike, which one suite of tests holds them to.
//
// # The life of an entry
//
//	         Add, Expedite
//	unknown ---------------> waiting <----------------+
//	   ^                      |    ^                  |
//	   |                      |    | Schedule,        | nothing: the worker died,
//	   |           Claim, due |    | or Expedite      | and until has come
//	   |                      v    | while claimed    |
//	   +------------------- claimed ------------------+
//	        Remove          (waiting, until now + visibility)
//
// A claimed entry is no state of its own: claiming moves its due time forward by
// the visibility timeout, in the same step that hands it out. So no two workers
// are given it at once, and if the one that has it dies it comes back by itself.
// That is a turn, not a lock: a worker that takes longer than the visibility
// timeout shares the entry with the next one, and what must not happen twice needs
// more than this package.
//
// Whoever put an entry back with Schedule says until when its claim was to last.
// If the entry is due earlier than that by now, somebody expedited it meanwhile,
// and the earlier time stands. An entry that was removed meanwhile stays removed.
//
// # Lost and found
//
// The index begins empty, and Redis may lose it. A marker that MarkBuilt sets,
// and that is lost with the rest, tells an index that is empty for good reason
// from one that has to be built. It also says who built it, and has a name for what
// Redis holds, which is another one after a loss; Claim reports all of that at every
// call, at no cost. A loss of single keys, by eviction or in a failover, goes unnoticed,
// but for that of the order in which entries are due: Claim then gives up the memos and
// the marker as well.
//
// # Layout in Redis
//
// Tenants are spread over N shards by a hash, all entries of one tenant in the
// same shard. The keys of a shard have one hash tag, so that the index works on a
// Redis Cluster too:
//
//	<prefix>:{q<shard>}:due    sorted set: "tenant/name", scored with the due time in Unix milliseconds
//	<prefix>:{q<shard>}:memo   hash: "tenant/name" to credential.Memo as JSON
//	<prefix>:{q<shard>}:built  the marker
//
// Every change is one script, so that it happens whole or not at all. Times have
// a resolution of one millisecond: what is finer is cut off.
package queue
