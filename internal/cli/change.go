package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"refresher/internal/credential"
)

// perID makes a command that does something to one credential after the other.
// What goes wrong with one does not keep it from the others.
func (p *program) perID(cmd *cobra.Command, do func(context.Context, *session, credential.ID) error) *cobra.Command {
	cmd.Args = someArgs("TENANT/NAME")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := parseIDs(cmd, args)
		if err != nil {
			return err
		}
		return p.within(cmd.Context(), func(s *session) error {
			var failed failures
			for _, id := range ids {
				if err := do(cmd.Context(), s, id); err != nil {
					failed = append(failed, err)
				}
				if err := cmd.Context().Err(); err != nil {
					return err
				}
			}
			return failed.orNil()
		})
	}
	return cmd
}

func (p *program) pauseCommand() *cobra.Command {
	return p.perID(&cobra.Command{
		Use:   "pause TENANT/NAME...",
		Short: "Keep the service from calling the provider for a credential",
		Long: `Keep the service from calling the provider for a credential, until it is resumed.
The published token is left as it is, and expires in its time. A grant that runs
out meanwhile is still alerted.`,
		Example: "  refresher credentials pause acme/main",
	}, func(ctx context.Context, s *session, id credential.ID) error { return s.setPaused(ctx, id, true) })
}

func (p *program) resumeCommand() *cobra.Command {
	return p.perID(&cobra.Command{
		Use:     "resume TENANT/NAME...",
		Short:   "Let the service go on with a paused credential",
		Example: "  refresher credentials resume acme/main",
	}, func(ctx context.Context, s *session, id credential.ID) error { return s.setPaused(ctx, id, false) })
}

func (s *session) setPaused(ctx context.Context, id credential.ID, paused bool) error {
	doc, err := s.usable(ctx, id)
	if err != nil {
		return err
	}
	word, change := "not paused", map[string]string{"paused": ""}
	if paused {
		word, change = "paused", map[string]string{"paused": "true"}
	}
	if (doc.fields["paused"] == "true") == paused {
		s.say("%s is %s already", id, word)
		return nil
	}
	if _, err := s.vault.PutCredential(ctx, id, merge(doc.fields, change), &doc.version); err != nil {
		return s.notWritten(id, err)
	}
	s.say("%s is %s now; %s", id, word, s.tell(ctx, id))
	return nil
}

func (p *program) deleteCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "delete TENANT/NAME...",
		Aliases: []string{"rm"},
		Short:   "Delete a credential",
		Long: `Delete a credential. The service then blanks its token, so that readers learn
that it is gone. Vault keeps the deleted version: the answer says how to bring it
back.`,
		Example: "  refresher credentials delete acme/main\n  refresher credentials delete --yes acme/main acme/yachts",
	}
	cmd = p.perID(cmd, func(ctx context.Context, s *session, id credential.ID) error { return s.delete(ctx, id, yes) })
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes && p.Person == nil {
			return usage(cmd, "there is no terminal to ask on: say --yes to delete")
		}
		return run(cmd, args)
	}
	return cmd
}

func (s *session) delete(ctx context.Context, id credential.ID, yes bool) error {
	doc, err := s.read(ctx, id)
	if err != nil {
		return err
	}
	if !doc.there {
		return s.notStored(ctx, id)
	}
	if !yes {
		sure, err := s.Person.Confirm(ctx, fmt.Sprintf("Delete %s? Its token is blanked, and whoever reads it cannot go on.", id))
		if err != nil {
			return err
		}
		if !sure {
			return fmt.Errorf("%s is not deleted", id)
		}
	}
	if err := s.vault.DeleteCredential(ctx, id); err != nil {
		return explain(fmt.Errorf("%s: %w", id, err), s.config)
	}
	s.say("deleted %s; %s, and will blank its token", id, s.tell(ctx, id))
	s.say("to bring it back: vault kv undelete -mount=%s -versions=%d %s/credentials/%s",
		s.config.Vault.Mount, doc.version, s.config.Vault.Prefix, id)
	return nil
}

func (p *program) renewCommand() *cobra.Command {
	return p.perID(&cobra.Command{
		Use:   "renew TENANT/NAME...",
		Short: "Have a credential renewed now",
		Long: `Have a credential renewed now, though it is not due yet: for when its token was
refused somewhere. The running service does it; it is told through its Redis.`,
		Example: "  REDIS_URL=redis://redis:6379 refresher credentials renew acme/main",
	}, func(ctx context.Context, s *session, id credential.ID) error { return s.renew(ctx, id) })
}

func (s *session) renew(ctx context.Context, id credential.ID) error {
	c, err := s.vault.Credential(ctx, id)
	switch {
	case errors.Is(err, credential.ErrNotFound):
		return s.notStored(ctx, id)
	case err != nil && credential.KindOf(err) == credential.KindMisconfigured:
		return withHint(fmt.Errorf("%s cannot be renewed: %s", id, clean(strings.Join(problemsOf(err), "; "))), "correct it with: refresher credentials put "+id.String()+" FIELD=VALUE")
	case err != nil:
		return explain(err, s.config)
	case c.Paused:
		return withHint(fmt.Errorf("%s is paused", id), "resume it first: refresher credentials resume "+id.String())
	}
	err = s.expedite(ctx, true, id)
	if errors.Is(err, errNoRedis) {
		return withHint(fmt.Errorf("%s is not renewed: the service is asked through its Redis, and no Redis is configured here", id),
			`set REDIS_URL (or redis.url) to the service's.
A service without Redis cannot be asked: it renews what is due by itself, and
notices a changed credential at its next scan, or when it is started again.`)
	}
	if err != nil {
		return withHint(fmt.Errorf("%s: %w", id, err), "is REDIS_URL (or redis.addresses) right, and does Redis run?")
	}
	s.say("%s is due now; see how it went with: refresher credentials show %s", id, id)
	return nil
}
