package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"refresher/internal/app"
	"refresher/internal/config"
	"refresher/internal/escrow"
	"refresher/vault"
	"refresher/vault/setup"
)

const vaultSetupLong = `Set Vault up for the service, once, with an administrator's token: the KV version 2
store, the policies, a way to log in, and the first escrow key. A line says of each
whether it was created, changed, or found unchanged; running it again repairs what
has drifted, and otherwise changes nothing.

What others who use the same store or login method may rely on is left alone: the
store's delete_version_after, and the cluster that a Kubernetes login trusts. If
these are not as they must be, the command says so and fails, unless
--change-shared lets it change them.

--print asks nobody and writes a script that does the same by commands of the vault
program, except for the escrow key, and can be run again too.`

// setupFlags are the flags of "vault setup".
type setupFlags struct {
	options   setup.Options
	login     choice
	tokenFile string
	print     bool
}

func (p *program) vaultSetupCommand() *cobra.Command {
	f := &setupFlags{login: choice{
		words: []string{setup.LoginNone, setup.LoginKubernetes, setup.LoginAppRole}, word: setup.LoginNone,
	}}
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Create policies, login and settings in Vault",
		Long:  vaultSetupLong,
		Example: `  refresher vault setup --auth kubernetes --kubernetes-namespace refresher
  refresher vault setup --auth approle --secret-id-file /etc/refresher/secret-id
  refresher vault setup --auth kubernetes --print > setup.sh`,
		Args: noArgs,
	}
	f.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return p.setUpVault(cmd, f) }
	return cmd
}

func (f *setupFlags) register(cmd *cobra.Command) {
	o, k, flags := &f.options, &f.options.Kubernetes, cmd.Flags()
	flags.Var(&f.login, "auth", "how the service shall log in")
	completeWords(cmd, "auth", f.login.words)
	flags.BoolVar(&f.print, "print", false, "print a script of vault commands that does the same, and change nothing")
	flags.StringVar(&o.Name, "name", vault.PolicyService, "`name` of the service's policy and role; the other policies' names begin with it")
	flags.DurationVar(&o.Period, "period", time.Hour, "how long a login lives unless it is renewed")
	flags.BoolVar(&o.ChangeShared, "change-shared", false, "also change what others may rely on")
	flags.StringVar(&o.SecretIDFile, "secret-id-file", "", "make a secret ID for AppRole and write it to this new `file`")
	flags.StringVar(&k.Host, "kubernetes-host", "https://kubernetes.default.svc", "`URL` of the cluster's API, as Vault reaches it")
	flags.StringVar(&k.CAFile, "kubernetes-ca-file", "", "`file` with the CA of that API in PEM, if Vault does not run in the cluster")
	flags.StringVar(&k.ReviewerTokenFile, "kubernetes-reviewer-token-file", "",
		"`file` with a token that may review tokens, if Vault does not run in the cluster")
	flags.StringSliceVar(&k.ServiceAccounts, "kubernetes-service-account", []string{"refresher"}, "service `account` that may log in; may be repeated")
	flags.StringSliceVar(&k.Namespaces, "kubernetes-namespace", []string{"refresher"}, "`namespace` of that account; may be repeated")
	flags.StringVar(&k.Audience, "kubernetes-audience", "vault", "`audience` that the service account's token must have")
	tokenFileFlag(cmd, &f.tokenFile)
}

func (p *program) setUpVault(cmd *cobra.Command, f *setupFlags) error {
	c, sources, err := p.load()
	if err != nil {
		return err
	}
	f.options.Login, f.options.Settings = f.login.word, app.VaultSettings(c)
	if f.options.EscrowKey, err = newEscrowKey(escrow.FirstKeyID, p.Now()); err != nil {
		return err
	}
	plan, err := setup.New(f.options)
	if err != nil {
		return usage(cmd, "%s", err)
	}
	if f.print {
		return plan.Print(p.Stdout)
	}
	client, err := p.asAdministrator(cmd.Context(), c, sources, f.tokenFile)
	if err != nil {
		return err
	}
	defer client.Close()
	return p.applySetup(cmd.Context(), plan, client, c)
}

func (p *program) applySetup(ctx context.Context, plan *setup.Plan, client *vault.Client, c config.Config) error {
	err := plan.Apply(ctx, client, func(r setup.Result) { p.say("%s", clean(r.String())) })
	if problems, ok := errors.AsType[setup.Problems](err); ok {
		var failed failures
		for _, problem := range problems {
			failed = append(failed, withHint(errors.New(clean(problem)),
				"use another mount, or change it for all who use it: run this again with --change-shared"))
		}
		return failed
	}
	if err != nil {
		return explainSetup(err, c)
	}
	p.say("next: %s", plan.Next())
	return nil
}
