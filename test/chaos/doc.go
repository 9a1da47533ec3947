// Command chaos attacks the renewal protocol with real processes: real Redis with
// a replica, real Vault on a disk, several `refresher run`, and the simulated
// providers with their ledger. Between them stand proxies of the rig's own, a set
// for each replica, which see every step of the protocol from outside:
//
//	                 ┌──────────── proxy_vault ───► Vault (killed, sealed, set back)
//	refresher run ───┼──────────── proxy_redis ───► Redis, and its replica (killed, promoted, flushed)
//	   │ (killed,    └──────────── proxy_provider ► simulators, with a ledger
//	   │  paused)
//	   └─ spool on a small tmpfs (watched, filled, destroyed)
//
// The product has no failpoints. A seeded plan (plan.go) picks moments (before or
// after a boundary) and what goes wrong there; faults.go and strike.go do it. What the rig saw,
// it writes down (observed.go, story.go). Right after each kill it looks into the
// spool of the dead process (spool.go): whether an answer had reached it is the
// rig's finding, not the service's word.
//
// When the faults are over the rig waits for recovery and passes a verdict
// (verdict.go, excuses.go) on the invariants of docs/architecture.md, from what it saw, the
// simulators' ledger and Vault's documents, and writes it down (report.go). A run
// that fails prints its seed and the story of the credential, in order.
//
//	go run ./chaos -seed 7 -for 10m -rotations 3000 -hits 50
//
// It needs bin/refresher and bin/vault-dev, redis-server, Linux, and root for the
// small disks.
package main
