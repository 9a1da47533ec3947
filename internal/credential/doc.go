// Package credential holds the words that every part of Refresher speaks: the
// ID of a stored credential, the Credential itself, the Grant that a rotating
// method keeps, the Token that other services read, the Memo that the queue
// remembers, and the kinds of error.
//
// It decides nothing, calls nothing and imports nothing else of the project.
// Documents are described in docs/architecture.md.
package credential
