// Package model is the renewal protocol as a search through every state that it
// can get into. The tests of package renewal run it with that package's own
// decisions (Rules), and no other package uses it.
//
// # What is searched
//
// Two workers renew one credential twice: of two replicas, or of one that lost its
// lease and took it again (Options.OneProcess). A State is all that there is at one
// moment: Vault's documents, the spools, Redis, the provider, what is under way
// between them, and where each worker stands. The steps of a worker are those of the protocol's table in
// docs/architecture.md, and each names the function that it stands for:
//
//	visit.go   what a visit or a drain begins with: seed, sealed answer, decide
//	work.go    room, intent, spent list, first byte, answer, seal
//	settle.go  commit, read back, publish, clear; invalid_grant and dead
//	world.go   the provider, requests that nobody waits for, time, and the faults
//
// Between any two steps any Fault may come, as often as the Budget allows, and
// what it broke comes back at any later time. Search goes breadth first, so the
// trace of the first thing that goes wrong is a shortest one.
//
// # What must hold
//
// Each invariant is checked at each step (invariants.go); from each state the run
// is also let go on without further faults until nothing moves, and the end is looked at:
//
//	I1  a token goes out again only on record or with proof; never while an
//	    earlier request with it may still arrive
//	I2  at the end no spool holds an answer, and what is alive serves
//	I3  the living token is within reach, unless an answer got lost before it
//	    was kept, its copies were destroyed, or Vault's storage was put back
//	I4  the published generation never goes back, and names one token
//	I5  dead only if no living token is within reach, but for one held back past
//	    a takeover; a person is asked
//	I6  nothing goes out without room for its answer
//	I9  every run comes to rest, with no open intent
//
// Break switches parts of the protocol off. The tests ask that each turns the search red.
//
// # What is left out
//
// Time passes in ticks of one in-flight bound, and only while nobody can go on at once; a
// process that is stopped can sleep through any number of them. That a request
// arrives within the bound or never, that clocks run alike, and that it takes longer than a
// send deadline and a request to put Vault's storage back and to bring a version round again, is
// assumed. A visit reads everything
// at one moment, and publishing, which is check-and-set in a loop, is one step. The
// folder aside is not followed. Which identity is which, attempts that nothing
// refers to, versions while storage is not put back, and ages above the longest limit make no
// difference, and are made alike (canon.go).
package model
