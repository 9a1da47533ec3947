// Package soak keeps a fleet of all methods alive for a while, at lifetimes that are
// sped up, while things go wrong at a steady rate: providers answer 5xx and 429, hang
// or reset connections; Vault is sealed; Redis is cut off, and comes back empty. Two
// replicas of the built program share the work on a real Vault and a real Redis. At
// the end nothing may have grown, nobody may be late, and every credential must work.
//
// The plain test is a small fleet for half a minute, so that this does not rot. The
// real one is "make soak", or by hand, from the folder test:
//
//	go test ./soak -count=1 -timeout=0 -v -args -for=10m -credentials=10000 -rate=100 -seed=1 -report=soak.md
//
// The time is measured in quarters, each of which has the same faults. The first
// quarter is for warming up; then the second is compared with the last. The report is
// Markdown: what was asked for, how each figure went over time, and the comparison.
//
// It needs bin/refresher and bin/vault-dev, which "make build tools-vault" leaves, and
// redis-server.
package soak
