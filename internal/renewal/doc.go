// Package renewal is the protocol: what happens to one credential once it is due
// and its tenant's lease is held. Engine.Renew is the way in, and reads from top
// to bottom:
//
//	load the credential ─ misconfigured? paused? not due? ─► say so, stop
//	    │
//	    ├─ rotating ─► rotate.go: grant, intent, present, commit
//	    │                 └─ an open intent ─► recover.go
//	    └─ minted, session, static ─► upkeep.go: call, publish
//
// A rotating grant in Vault is in one of three states, and only a check-and-set
// write moves it:
//
//	         intent (CAS v → v+1)
//	┌──────┐ ───────────────────► ┌────────┐
//	│ idle │                      │ intent │ ◄─┐ probe: a new intent
//	└──────┘ ◄─────────────────── └────────┘ ──┘ for the same token
//	   ▲   commit (CAS v+1 → v+2)     │
//	   │   or proof that the token    │ invalid_grant, and nobody
//	   │   was not spent              ▼ has another copy
//	   │                          ┌──────┐
//	   └───── a new seed ──────── │ dead │
//	          a late answer       └──────┘
//
// What is known about the refresh token decides what may be done with it. Before
// the intent it is unspent. After the intent it may be spent, and is presented
// again only with proof that it was not (the provider said so, or no byte left),
// or as a recorded probe, when no answer can arrive any more. Everything that can
// break in between leaves a trace that the next worker goes on from: the open
// intent in Vault, and the sealed answer in the spool or in Redis.
//
// What keeps a rotation from beginning or going on although Vault works (a full spool, a
// missing key, a Redis that cannot be read) is published as a status, with what a person
// can do about it (trouble.go).
//
// The tests search a model of all this (package model) for every way in which
// processes, Vault, Redis and people can come in between.
//
// A check-and-set knows a document by its version, and a restore of Vault takes
// versions back. Nothing is therefore written on the strength of an old reading (reading.go).
// It takes commits back as well; the last answer that is kept brings the grant forward (forgotten.go).
//
// Decisions are pure functions over what was read (schedule.go, decide.go);
// the rest carries them out.
package renewal
