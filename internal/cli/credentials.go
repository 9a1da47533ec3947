package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"refresher/internal/app"
	"refresher/internal/config"
	"refresher/internal/credential"
	"refresher/refreshers"
	"refresher/vault"
)

const credentialsLong = `Look at the stored credentials and change them.

These commands act with your own Vault token: VAULT_TOKEN, or the one that
"vault login" left in ~/.vault-token. VAULT_ADDR says where Vault is, and
REFRESHER_VAULT_MOUNT and REFRESHER_VAULT_PREFIX where the credentials are in it,
unless that is in the configuration file. With the service's REDIS_URL the
service is told of a change at once; without, it notices at its next scan.`

func (p *program) credentialsCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "credentials",
		Aliases: []string{"creds", "credential"},
		Short:   "Look at the stored credentials and change them",
		Long:    credentialsLong,
		Example: `  refresher credentials list --status needs_authorization,misconfigured
  refresher credentials show acme/main
  refresher credentials fields kibo
  refresher credentials put acme/main provider=kibo client_id=- client_secret=-`,
	})
	cmd.AddCommand(
		p.listCommand(), p.showCommand(), p.fieldsCommand(), p.putCommand(), p.importCommand(),
		p.deleteCommand(), p.pauseCommand(), p.resumeCommand(), p.renewCommand(),
	)
	return cmd
}

// session is one command's work on stored credentials.
type session struct {
	*program
	config  config.Config
	methods *refreshers.Registry
	// guard checks a URL against the hosts of a method, as the service would.
	guard func(rawURL string, hosts []string) error
	vault *vault.Client
}

// prepare reads the configuration; it connects to nothing.
func (p *program) prepare() (*session, config.Sources, error) {
	c, sources, err := p.load()
	if err != nil {
		return nil, nil, err
	}
	way, err := app.Egress(c)
	if err != nil {
		return nil, nil, err
	}
	return &session{program: p, config: c, methods: app.Methods(c.Providers), guard: way.Guard}, sources, nil
}

// connect logs in to Vault with the caller's token. Close the session afterwards,
// whatever comes of it.
func (s *session) connect(ctx context.Context, sources config.Sources) error {
	settings, err := s.callersSettings(sources)
	if err != nil {
		return err
	}
	client, err := vault.Open(ctx, settings, vault.Hooks{})
	if err != nil {
		return explain(err, s.config)
	}
	s.vault = client
	// On another kind of store a write would succeed, and nobody would find it.
	if kv, err := client.KVSettings(ctx); err == nil && kv.Version != 2 {
		return withHint(fmt.Errorf("%s/ is no KV version 2 store", s.config.Vault.Mount), "set REFRESHER_VAULT_MOUNT (vault.mount) to the right one")
	}
	return ctx.Err()
}

// callersSettings are those for a login with the caller's own token.
func (s *session) callersSettings(sources config.Sources) (vault.Settings, error) {
	if s.config.Vault.Address == "" {
		return vault.Settings{}, withHint(errors.New("it is not known where Vault is"), "set VAULT_ADDR, such as https://vault.example.com:8200")
	}
	settings := app.VaultSettings(s.config)
	settings.Auth = vault.Auth{Method: vault.MethodToken, Token: s.callersToken(sources)}
	settings.UseTokenHelper = true
	return settings, nil
}

// callersToken returns the token that the caller gave, never one that stands in
// a configuration file: that is the service's.
func (s *session) callersToken(sources config.Sources) credential.Secret {
	if sources["vault.token"] == config.SourceFlag {
		return s.config.Vault.Token
	}
	for _, entry := range slices.Backward(s.Environ) {
		if token, ok := strings.CutPrefix(entry, "VAULT_TOKEN="); ok {
			return credential.Secret(strings.TrimSpace(token))
		}
	}
	return ""
}

// close closes the connections to Vault.
func (s *session) close() {
	if s.vault != nil {
		s.vault.Close()
	}
}

// within opens a session for a command's work.
func (p *program) within(ctx context.Context, work func(*session) error) error {
	s, sources, err := p.prepare()
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.connect(ctx, sources); err != nil {
		return err
	}
	return work(s)
}

// notStored is the error for a credential that there is not. It names one that
// might have been meant, if the caller may look for it.
func (s *session) notStored(ctx context.Context, id credential.ID) error {
	err := fmt.Errorf("there is no credential %s below %s/%s", id, s.config.Vault.Mount, s.config.Vault.Prefix)
	if names, listErr := s.vault.Names(ctx, id.Tenant); listErr == nil && len(names) > 0 {
		if near := nearest(id.Name, names); near != "" && near != id.Name {
			return withHint(err, "did you mean "+id.Tenant+"/"+near+"?")
		}
		return err
	}
	if tenants, listErr := s.vault.Tenants(ctx); listErr == nil {
		if near := nearest(id.Tenant, tenants); near != "" && near != id.Tenant {
			return withHint(err, "did you mean "+near+"/"+id.Name+"?")
		}
	}
	return err
}

// stored is a document as it is in Vault.
type stored struct {
	// version is the number to check and set against: 0 if there never was a document.
	version int
	// there is false if there is no document, or a deleted one.
	there bool
	// fields are its fields; nil if it is not flat.
	fields map[string]string
	// broken says why fields is nil though the document is there.
	broken error
}

// read returns a credential's document as it is stored.
func (s *session) read(ctx context.Context, id credential.ID) (stored, error) {
	data, version, err := s.vault.CredentialData(ctx, id)
	switch {
	case errors.Is(err, credential.ErrNotFound):
		return stored{version: version}, nil
	case err != nil:
		return stored{}, explain(err, s.config)
	}
	fields, err := flat(data)
	return stored{version: version, there: true, fields: fields, broken: err}, nil
}

// flat returns a document's fields if all of them are strings.
func flat(data map[string]any) (map[string]string, error) {
	fields := make(map[string]string, len(data))
	var odd []string
	for name, value := range data {
		text, ok := value.(string)
		if !ok {
			odd = append(odd, plainName(name))
		}
		fields[name] = text
	}
	if len(odd) == 0 {
		return fields, nil
	}
	slices.Sort(odd)
	return nil, fmt.Errorf("the stored document is not made of strings alone: see field %s", strings.Join(odd, ", "))
}

// usable returns a credential's document, which must be there and flat.
func (s *session) usable(ctx context.Context, id credential.ID) (stored, error) {
	doc, err := s.read(ctx, id)
	switch {
	case err != nil:
		return doc, err
	case !doc.there:
		return doc, s.notStored(ctx, id)
	case doc.broken != nil:
		return doc, withHint(fmt.Errorf("%s: %w", id, doc.broken),
			"store all of its fields again: refresher credentials put "+id.String()+" --replace provider=…")
	}
	return doc, nil
}
