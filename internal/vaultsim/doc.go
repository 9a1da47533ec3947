// Package vaultsim is a stand-in for HashiCorp Vault: an http.Handler that keeps
// documents in memory and speaks the part of Vault's API that package vault
// uses. It is for the demo and for unit tests that want to see what happens when
// Vault fails at a certain request. It protects nothing.
//
// It has a KV version 2 store at secret/ (data, metadata with cas_required, delete,
// undelete, destroy, config), token lookup and renewal, tokens with rules,
// sys/health, sys/seal-status, sys/capabilities-self and sys/internal/ui/mounts. What it
// answers is held to what a real Vault answers by the suite in package vault,
// which runs against both.
//
//	sim := vaultsim.New("root")
//	server := httptest.NewServer(sim)
//	sim.Intercept(func(r *http.Request) vaultsim.Fault {
//		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/data/refresher/grants/") {
//			return vaultsim.DropAfter
//		}
//		return vaultsim.None
//	})
package vaultsim
