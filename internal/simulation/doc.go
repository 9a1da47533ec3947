// Package simulation attacks the renewal protocol in a world that can be played
// again. It is a test and nothing else: two or three replicas of the real
// scheduler and renewal engine, each on a real spool, share a simulated Vault, a
// simulated Redis and the provider simulator of the demo, in a bubble of
// testing/synctest whose clock runs as fast as it can.
//
//	 A: scheduler ─ renewal ─ escrow on disk ─┐        ┌─ Vault: versions, check-and-set
//	 B:     "         "           "          ─┤  gate  ├─ Redis: queue, leases, copies, spent list
//	 C:     "         "           "          ─┘        └─ Checkfront and its ledger
//	                                            ▲
//	people: seeds, edits, pauses, deletions ────┘ conductor: one effect at a time
//
// A seed is a world: how many replicas and credentials there are, how likely each
// kind of fault is, and what happens when. For an hour of its time everything goes
// wrong that this seed has: a replica is killed before or after any effect and
// comes back on its spool, on an empty one, or on the old one much later; it is
// paused for longer than its lease; it is told to stop. A request to Vault or Redis
// fails, is slow, loses its answer, or takes effect after its sender gave up; both
// are away for minutes; Redis forgets everything, leases end early, Vault is
// restored from an older copy. The provider refuses the connection, cuts it, loses
// or garbles its answer, takes twice as long as anybody waits, or asks to slow
// down. People authorize again, store old seeds again, mistype secrets, pause,
// delete, and take authorizations away. Then it is calm, and the world must come to
// rest: every credential serves, or asks for a person who then helps.
//
// # What is judged
//
// The judge (book_test.go, verdict_test.go) goes by what it sees itself: the
// writes that the simulated Vault accepted, the provider's ledger, and the files in
// the spools.
//
//	I1  at every presentation: there is an intent for it; if the token was
//	    presented before, it is a probe or there is proof; none is under way
//	I2  at rest: no answer waits, and each that reached a spool reached Vault
//	I3  whenever a grant dies: its living token was not in Vault, in Redis, or in
//	    a spool that somebody could use; each loss was reported; at every write: it
//	    is over the document that its writer has read, not only over its version
//	I4  at every write: no generation goes back, and what is published is one behind
//	    at most; at rest it is not behind at all
//	I5  at every death: the presented token was not the living one; at rest nobody
//	    waits for a person in vain
//	I7  at rest: the queue knows when each grant ends
//	I9  at rest: no intent is open; nobody takes over a probe in its owner's time
//
// and finally each grant is renewed once more, which shows that it lives, and each
// published token is tried at the provider. I6 and I8 are left to test/chaos: a
// full disk, the wire and the log are not simulated here, nor are clocks that
// differ.
//
// # Playing a seed again
//
//	go test ./internal/simulation -run TestSimulation -seed=17 -v   one seed and its story
//	go test ./internal/simulation -seeds=20000 -from=1              many
//
// All effects pass one gate. Whenever every goroutine waits, the conductor picks
// the next one by a hash of the seed, who it is, what it is about and how often
// that has happened: never by who came first. All faults are decided by such hashes
// too. What the product draws itself is arranged to matter little: random waits
// are shorter than a tick and rounded up, and what is due together is sorted.
//
// So a seed takes the same way again, to the last effect: of 30 seeds that were played
// ten times each, 29 did so every time. The rest is the order in which Go walks
// through a map, where one process watches two claims or drains two answers.
//
// # What is forgiven
//
// After Vault was restored from an older copy some things are beyond everybody: a
// token that Vault held then and lost by it, what only a list in Redis knew that was
// lost too, an answer to what was presented before, and a write that its sender sent
// within the send deadline of reading, and that met the same version number on another
// document. A write on an older reading than that is never forgiven.
// Where a provider refuses to refresh while the access token lives, people here store
// a new seed only when that is over.
package simulation
