// Demo shows the whole service at work, with nothing to install: simulators of
// the five providers, a stand-in for Vault, and the unmodified service between
// them, in one process on the loopback interface, with lifetimes sped up.
//
//	go run ./cmd/demo             until Ctrl-C
//	go run ./cmd/demo -for 20s    a check: exit code 1 if a token was not kept alive
//	go run ./cmd/demo -simulators the simulators alone, for a service of your own
//
// It is for newcomers and never for production.
//
//	world.go  sets the stage      fleet.go  who has which credential
//	story.go  what people do      check.go  uses each published token, all the time
//	board.go  what was seen       events.go in which words
//	show.go   table and lines     summary.go and how it ended
//
// Everything that is shown was seen from the outside: the documents that the
// service publishes in the Vault, read as any reader would read them, and the
// ledgers of the simulators.
package main
