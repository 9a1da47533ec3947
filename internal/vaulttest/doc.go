// Package vaulttest runs a real Vault server for a test: the one that `make
// tools` builds as bin/vault-dev.
//
//	server := vaulttest.Start(t)
//	server.Policy("reader", `path "secret/*" { capabilities = ["read"] }`)
//	token := server.Token(vaulttest.TokenOptions{Policies: []string{"reader"}})
//
// A server takes about half a second to start, so share one between subtests.
// It is killed when the test ends.
package vaulttest
