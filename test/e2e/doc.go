// Package e2e runs the built binary as its user would: real processes, a real
// Vault, a real Redis, and the simulators of the providers. It needs bin/refresher
// and bin/vault-dev, which "make build tools" leaves, and redis-server.
package e2e
