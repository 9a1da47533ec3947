package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"refresher/internal/app"
	"refresher/internal/config"
	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/vault"
)

const vaultLong = `Set Vault up for the service, once, and look after what only an administrator may
change there. These commands act with your own Vault token: VAULT_TOKEN, a file
(--token-file), or what "vault login" left in ~/.vault-token. Where the store is and
where the login methods are mounted is the service's configuration (vault.mount,
vault.prefix, vault.auth.approle.mount, vault.auth.kubernetes.mount).`

func (p *program) vaultCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "vault",
		Short: "Set Vault up for the service",
		Long:  vaultLong,
		Example: `  refresher vault setup --auth kubernetes --print
  refresher vault setup --auth kubernetes
  refresher vault policy reader-tenant --id acme/main
  refresher vault escrow-key`,
	})
	cmd.AddCommand(p.vaultSetupCommand(), p.vaultPolicyCommand(), p.escrowKeyCommand())
	return cmd
}

// asAdministrator logs in to Vault with the caller's token, which may be in a file.
func (p *program) asAdministrator(ctx context.Context, c config.Config, sources config.Sources, tokenFile string) (*vault.Client, error) {
	s := &session{program: p, config: c}
	settings, err := s.callersSettings(sources)
	if err != nil {
		return nil, err
	}
	if tokenFile != "" {
		content, err := os.ReadFile(tokenFile)
		if err != nil {
			return nil, err
		}
		if settings.Auth.Token = credential.Secret(strings.TrimSpace(string(content))); settings.Auth.Token == "" {
			return nil, fmt.Errorf("%s is empty", tokenFile)
		}
	}
	client, err := vault.Open(ctx, settings, vault.Hooks{})
	return client, explain(err, c)
}

// explainSetup adds what to do to an error of an administrator's command.
func explainSetup(err error, c config.Config) error {
	e, ok := errors.AsType[*vault.Error](err)
	if ok && strings.HasSuffix(e.Path, "/config") && strings.Contains(err.Error(), "kubernetes.io/serviceaccount") {
		return withHint(err, "Vault does not run in the cluster: give --kubernetes-ca-file and --kubernetes-reviewer-token-file")
	}
	if !ok || vault.Reason(err) != "denied" {
		return explain(err, c)
	}
	capability := map[bool]string{true: "create and update", false: "read"}[strings.HasSuffix(e.Op, ".write")]
	switch {
	case strings.HasSuffix(e.Op, ".list"):
		capability = "list"
	case strings.HasPrefix(e.Path, "sys/auth/"):
		capability += " and sudo"
	}
	return withHint(err, fmt.Sprintf("the token needs %s on %s: use an administrator's, or one with the policy that\n"+
		`"refresher vault policy administrator" prints; what was done so far stays`, capability, rule(e.Path, c)))
}

func (p *program) vaultPolicyCommand() *cobra.Command {
	var dir, id string
	cmd := &cobra.Command{
		Use:   "policy [NAME]",
		Short: "Print a policy for the service, its readers and its operators",
		Long: `Print a policy as Vault reads it, for the configured mount and prefix. Without a
name, say which there are. "refresher vault setup" stores those of the service, of
readers of all tokens, of onboarding and of recovery.`,
		Example: `  refresher vault policy
  refresher vault policy reader | vault policy write refresher-reader -
  refresher vault policy reader-tenant --id acme/main | vault policy write acme-reader -
  refresher vault policy --dir policies`,
	}
	cmd.Flags().StringVar(&dir, "dir", "", "write all of them into this `directory`, as NAME.hcl")
	cmd.Flags().StringVar(&id, "id", "acme/main", "`TENANT/NAME` for the readers of one tenant and of one token")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usage(cmd, "there is one argument too many: %s", shownWord(args[1]))
		}
		of, err := parseID(cmd, id)
		if err != nil {
			return err
		}
		c, _, err := p.load()
		if err != nil {
			return err
		}
		settings, err := app.VaultSettings(c).Paths()
		if err != nil {
			return err
		}
		return p.policies(cmd, settings.Policies(of), dir, args)
	}
	return cmd
}

func (p *program) policies(cmd *cobra.Command, all []vault.Policy, dir string, args []string) error {
	names := make([]string, 0, len(all))
	for _, policy := range all {
		names = append(names, policy.Name)
		switch {
		case dir != "":
			if err := os.WriteFile(filepath.Join(dir, policy.Name+".hcl"), []byte(policy.String()), 0o644); err != nil { //nolint:gosec // policies are no secret
				return err
			}
		case len(args) == 0:
			who, _, _ := strings.Cut(policy.About, "\n")
			p.say("%-14s %s", policy.Name, who)
		case args[0] == policy.Name:
			p.say("%s", strings.TrimRight(policy.String(), "\n"))
			return nil
		}
	}
	if len(args) > 0 && dir == "" {
		return usage(cmd, "there is no policy %s%s", shownWord(args[0]), didYouMean(nearest(args[0], names)))
	}
	return nil
}

func (p *program) escrowKeyCommand() *cobra.Command {
	var tokenFile string
	cmd := &cobra.Command{
		Use:   "escrow-key",
		Short: "Add a key that answers are sealed to from now on",
		Long: `Add a new escrow key to Vault. Running services seal to it within the hour; older
keys stay, since they open what was sealed to them. Nothing secret is printed.`,
		Example: "  refresher vault escrow-key",
		Args:    noArgs,
	}
	tokenFileFlag(cmd, &tokenFile)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, sources, err := p.load()
		if err != nil {
			return err
		}
		key, err := newEscrowKey(p.Now().UTC().Format("20060102-150405"), p.Now())
		if err != nil {
			return err
		}
		client, err := p.asAdministrator(cmd.Context(), c, sources, tokenFile)
		if err != nil {
			return err
		}
		defer client.Close()
		if err := client.CreateEscrowKey(cmd.Context(), key.ID, key); err != nil {
			return explainSetup(err, c)
		}
		p.say("escrow key %s is there; services seal to it within the hour. Keep the older ones: they open what was sealed to them", key.ID)
		return nil
	}
	return cmd
}

func tokenFileFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "token-file", "", "`file` with the Vault token to act with, instead of VAULT_TOKEN")
	_ = cmd.MarkFlagFilename("token-file")
}

// newEscrowKey makes a key as the vault package stores it.
func newEscrowKey(id string, now time.Time) (vault.EscrowKey, error) {
	key, err := escrow.NewKey(id, now)
	if err != nil {
		return vault.EscrowKey{}, err
	}
	return vault.EscrowKey{ID: key.ID, Private: key.Private, Public: key.Public, CreatedAt: key.CreatedAt}, nil
}
