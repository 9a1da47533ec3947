// Package escrow keeps the answers to rotations until they are committed, and
// remembers which refresh tokens were presented.
//
// # Sealed answers
//
// A provider hands out a new refresh token as it kills the old one, so between
// its answer and the write to Vault there is one copy of a tenant's grant, in
// one process's memory. Escrow makes that copy outlive the process:
//
//	Room          Seal                     Keep
//	  │  file made, │  answer on disk,       │  answer is in Vault
//	  │  space kept │  then in Redis         │
//	  ▼             ▼                        ▼
//	[ room ] ───► [ sealed ] ───────────► [ kept ]   the last of each credential
//	  │ Release       │      └──────────────► (gone)  Delete: it brought no token
//	  │               │ SetAside
//	  ▼               ▼
//	(gone)        [ aside ]   overtaken by a new seed, or unreadable:
//	                          kept for a person, never deleted by the service
//
// The last committed answer is kept because Vault can be put back to before its commit,
// and would hold a token then that the provider takes no more. Keep and Delete are for
// answers that are dealt with; CopyAgain is for those that are not, when Redis may have
// lost its copy. After RedisForgot it also tells Redis again what was kept, and the marks of the
// spent list.
//
// Room is made before the token is spent, so that the answer is sure to find a
// place. An answer is sealed with HPKE (RFC 9180) to a public key whose private
// half lives in Vault: the disk and Redis hold nothing that can be read without
// Vault. The credential, the attempt and the hash of the presented token are
// bound into the seal, so that an answer cannot be passed off as another's.
//
// # The owner
//
// The directory (the spool) belongs to one process at a time, which holds a lock
// on it, and has a random identity, which outlives the process. An intent in
// Vault names that identity: whoever opens the directory next knows which
// answers can only be here. An empty directory makes a new identity.
//
// # The spent list
//
// Present records the hash of a refresh token just before it goes out, on disk
// and in Redis, for as long as a token could live. It catches what a
// check-and-set in Vault cannot see: a Vault restored from a snapshot, and one
// grant stored under two names. It also keeps probes of one token apart.
//
// All methods may be called from several goroutines.
package escrow
