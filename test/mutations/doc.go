// Package mutations takes the protocol apart, one rule at a time, and wants the tests
// to notice. A rule whose removal turns nothing red is held by nobody.
//
// Each *.patch here removes one rule from the service's code. Its first lines say what
// it removes, which of the invariants below that breaks, and who must see it:
//
//	# The intent is written over a conflict: without check-and-set it is no fence, I1.
//	#
//	# Red: ./internal/renewal TestIntentBeatsALostLease
//
// Every test that is named must fail with the patch, and pass without it; code that
// does not build is no red test. "Red: system calls" stands for the order of a
// rotation's system calls: a process that is killed leaves the page cache as it is, so
// that no test which kills it can tell whether fsync was called.
//
// The patches are applied to copies of the files that they touch, and the Go tool is
// told to take these in place of the originals (-overlay); the checkout stays as it is.
//
// A patch that no longer applies is made anew: change the code as its first lines say,
// put `git diff` below them, and undo the change.
//
// # The invariants
//
//	I1   a refresh token is presented again only after proof that it was not spent, or
//	     as a recorded probe
//	I2   an answer that reached the spool reaches Vault
//	I3   nothing is lost but an answer that never reached the spool, or one whose copies
//	     were all destroyed or held back past a takeover
//	I4   a published generation never goes back, and is hardly ever behind
//	I5   a person is asked only when no copy of a living grant is within reach
//	I6   no rotation begins while its answer could not be kept; none is cancelled in flight
//	I7   every coming expiry is alerted before it happens, every loss at once
//	I8   no secret in the clear outside of Vault
//	I9   every intent ends
//	I10  what is not due costs nothing
//
// It needs git, strace, redis-server and bin/vault-dev, which "make test-e2e" sees to.
package mutations
