// Package vault keeps Refresher's documents in the KV version 2 store of
// HashiCorp Vault, and keeps the process logged in there.
//
// Open connects and logs in once, Run keeps the login alive, and the methods of
// Client read and write the four kinds of documents:
//
//	<mount>/<prefix>/credentials/<tenant>/<name>   Credential, Tenants, Names (and the command line's PutCredential)
//	<mount>/<prefix>/grants/<tenant>/<name>        Grant, PutGrant
//	<mount>/<prefix>/tokens/<tenant>/<name>        Token, PutToken
//	<mount>/<prefix>/escrow-keys/<id>              EscrowKeys, CreateEscrowKey
//
// Policies are what each of those who work with the documents may do; the files of
// deploy/vault are made of them, and Check holds the service's login to its own.
// Package setup below sets Vault up with them, by ReadPath and WritePath.
//
// # What a caller may rely on
//
//   - Every write is sent once. Neither the client library nor the environment
//     (VAULT_MAX_RETRIES) makes it repeat one, because a check-and-set write that
//     had succeeded and is repeated is refused. Reads are not repeated either.
//   - credential.ErrConflict is returned only if Vault said that the version did
//     not match, so that nothing was written. After any other error of a write its
//     outcome is unknown: read again.
//   - credential.ErrNotFound is returned only if Vault said that there is no such
//     document. A 404 of anything else (a wrong mount, a proxy) is another error.
//   - Every request ends within Settings.Timeout, or earlier with its context.
//   - An error names the operation, the path and what Vault said. It never holds
//     a document, a request body or the address's password.
//   - A tenant or a name that credential.NewID does not accept never gets into a path.
//
// # Versions
//
// A check-and-set compares the number of the document's last version. A deleted
// document keeps its number: it reads as absent, and the next write must name the
// deleted version. Only deleting a document's metadata starts it anew at zero.
//
// All methods of Client may be called from several goroutines at once.
package vault
