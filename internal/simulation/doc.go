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
// The judge (book_test.go, lags_test.go, secrets_test.go, verdict_test.go) goes by what it
// sees itself: the writes that the simulated Vault accepted, the provider's ledger, what
// was written to Redis and the log, and the files in the spools. It is judged in turn by
// judge_test.go, which plays it made-up courses of events.
//
//	I1  at every presentation: there is an intent for it; if the token was
//	    presented before, it is a probe or there is proof; none is under way
//	I2  at rest: no answer waits, and each that reached a spool reached Vault; at any
//	    time: none waits for more than two minutes in the spool of a process that works
//	I3  whenever a grant dies: its living token was not in Vault, in Redis, or in
//	    a spool that somebody could use; whoever writes it off for an answer that was
//	    lost has counted that one; at every write: it is over the document that its
//	    writer has read, not only over its version
//	I4  at every write: no generation goes back, and none is committed before the last one
//	    is published; each is published within two minutes, or ten after a loss of
//	    Redis; at rest nothing is behind
//	I5  at every death: the presented token was not the living one; at rest nobody
//	    waits for a person in vain
//	I6  at every presentation: its answer has a file to go to, and had it when the intent
//	    was written; a process that stops has waited for what it sent
//	I7  within a minute somebody is asked to authorize for what was written off; within two
//	    (ten after a loss of Redis, and longer if only a scan can tell) the queue, by which
//	    the alerts go, knows that; within three, that an intent is open, and when each
//	    grant ends at the latest; at rest, exactly
//	I8  at the end: no secret that the provider gave out is in the log of any process, on
//	    its finest level, in what Redis was given, in what people are told, or in a spool
//	I9  at rest: no intent is open; nobody takes over a probe in its owner's time
//
// and finally each grant is renewed once more, which shows that it lives, and each
// published token is tried at the provider.
//
// The time that something may lag behind is counted from the last thing that went wrong
// with those who could see to it: a process died, stood still or stopped, or a request about
// the credential failed. The time of a call for another credential of its tenant, whose turn
// comes first, is not counted. Nothing is judged while Vault or Redis is away, or while nobody
// works. What was written by one
// who stood still until others had been there, or took effect after its sender gave up, is
// seen at the credential's own turn: nobody comes before.
//
// Left to test/chaos are a full disk, the wire, metrics, and clocks that differ; to the tests
// of package egress, that a request which was sent is not cancelled; to those of the alerts
// (test/alerts), what Prometheus makes of what the queue knows.
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
// So a seed takes the same way again, to the last effect: TestAgain plays some twice and
// compares their stories. What the seed does not decide is who of two goroutines of one
// process is first that wake at the same instant and meet before either comes to the
// gate. One such place is known: a scan and a tick begin together, every 77 minutes of a
// process's life, and if that tick is the one at which it finds Redis to be away, the scan
// may or may not begin. The scheduler's clock has whole seconds, so they cannot be told to
// keep apart.
//
// # What is forgiven
//
// After Vault was restored from an older copy some things are beyond everybody: a token
// that Vault held then and lost by it, if neither Redis nor the process's own spool has kept
// its answer; what only a list in Redis knew that was lost too; the count of a loss whose
// token was presented before; an announcement or a publication that the copy lacks, until the
// credential's next turn; and a write that its sender sent within the send deadline of
// reading, and that met the same version number on another document, with the answers from
// before that write. A write on an older reading than that is never forgiven, nor is an
// answer because it is from before the restore.
//
// An answer whose spool was destroyed is forgiven unless Redis has had its copy since it last
// lost everything. Where a provider refuses to refresh while the access token lives, people
// here store a new seed only when that is over. A grant is even given up there, though it lives,
// if the provider had refreshed it, let its refresh token live, and the answer was lost, or
// taken back by a restore: how long the access token lives of which nobody has heard is not
// known. That is forgiven while it lives, and it is the one known way in which I5 is broken.
package simulation
