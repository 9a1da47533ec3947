// Package refreshers is the contract between the renewal protocol and the
// providers. A provider is one folder below this one, which exports
//
//	func Methods(Settings) []refreshers.Method
//
// and is named in one line of internal/app/providers.go. The first method it
// returns is its default.
//
// A provider is a pair of pure halves around one exchange: it builds a request
// from a Call, hands it to Call.HTTP, and says what the answer means. It keeps
// no state, stores nothing, retries nothing and logs nothing; when it is called,
// and what becomes of its Result, is the protocol's business (internal/renewal).
// That is also what makes a rotation recoverable: the protocol can hand the same
// provider an answer that was sealed an hour ago instead of a fresh one.
package refreshers
