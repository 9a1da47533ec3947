// Package setup sets Vault up for the service, once, with an administrator's
// token: the store, the policies, a way to log in, and the first escrow key.
//
// New computes a Plan from Options. Apply carries it out and says of each thing
// whether it was created, changed or found as it should be; Print asks nobody and
// writes a script that does the same by commands of the vault program, except for the
// escrow key, which no command can make. Both go through the same steps:
//
//	plan, err := setup.New(setup.Options{Settings: settings, Login: setup.LoginKubernetes, …})
//	err = plan.Apply(ctx, client, func(r setup.Result) { fmt.Println(r) })
//
// Applying a plan again, or running its script again, changes nothing and repairs what
// has drifted since.
//
// # What others may rely on
//
// The store and the login method may serve others too. A plan adds to them and
// raises limits, but what would change them for others (delete_version_after, the
// cluster that a Kubernetes login trusts) it reports and leaves alone, unless
// Options.ChangeShared is set. The policies and the role have the service's name and
// are the plan's own.
package setup
