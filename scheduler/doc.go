// Package scheduler says when: it claims what is due from the queue, takes the
// tenant's lease, hands each credential to the renewal protocol, and puts it back
// with its next due time. It also scans Vault for what is new, edited or gone.
//
//	cron ── tick ──► Claim ─► by tenant ─► lease ─► Renew ─► Schedule ─► release
//	     └─ scan ──► list Vault ─► add, drop, re-read ─► gauges
//
// A tick fills free workers and returns; it never waits for them. A worker that
// finishes while more is due fills its place at once. The claim itself moves an
// entry's due time forward, so that an entry whose worker dies comes back by
// itself.
//
// While Redis cannot be reached for longer than Settings.OutageAfter, the
// scheduler works from a queue in memory (outage.go).
package scheduler
