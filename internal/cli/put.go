package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"refresher/internal/credential"
)

const putLong = `Store a credential, or change fields of one that is stored.

Of a credential that is there, the given fields are changed and the others kept;
FIELD= removes one. With --replace the given fields are all that it has. The
result is checked as the service would check it, and is not stored if a field is
missing, unknown or wrong. Nobody else's change is overwritten.

A value on the command line ends up in the shell's history and is seen by
others on this machine. Give secrets another way:

  FIELD=-       asks for it on a terminal, without showing it; else reads it
                from standard input
  FIELD=@file   reads it from a file

Write \- or \@ for a value that begins with - or @. "credentials fields" shows
which fields there are.`

const putExample = `  refresher credentials put acme/main provider=kibo client_id=- client_secret=-
  refresher credentials put acme/yachts provider=ankor company_uri=https://acme.example \
      key_id=k1 private_key=@key.pem
  pass checkfront/acme | refresher credentials put acme/main refresh_token=-
  refresher credentials put acme/main probe_url=      # remove the field`

const putName = "put"

func (p *program) putCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     putName + " TENANT/NAME FIELD=VALUE...",
		Short:   "Store a credential, or change its fields",
		Long:    putLong,
		Example: putExample,
		Args:    someArgs("TENANT/NAME"),
	}
	replace := cmd.Flags().Bool("replace", false, "the given fields are all that the credential has")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseID(cmd, args[0])
		if err != nil {
			return err
		}
		given, err := parseAssignments(cmd, args[1:])
		if err != nil {
			return err
		}
		if len(given) == 0 {
			return usage(cmd, "there is nothing to store: give FIELD=VALUE, such as provider=kibo")
		}
		return p.within(cmd.Context(), func(s *session) error {
			return s.put(cmd.Context(), cmd, id, given, *replace)
		})
	}
	return cmd
}

func (s *session) put(ctx context.Context, cmd *cobra.Command, id credential.ID, given []assignment, replace bool) error {
	doc, err := s.read(ctx, id)
	if err != nil {
		return err
	}
	if doc.broken != nil && !replace {
		return withHint(fmt.Errorf("%s is not changed: %w", id, doc.broken), "give all of its fields together with --replace")
	}
	values, err := s.values(ctx, cmd, given)
	if err != nil {
		return err
	}
	base := doc.fields
	if replace {
		base = nil
	}
	fields := merge(base, values)
	if doc.there && doc.broken == nil && maps.Equal(fields, doc.fields) {
		s.say("%s is stored like that already", id)
		return nil
	}
	v := s.judge(id, fields)
	if err := s.refusal(id, v, fields, doc, values); err != nil {
		return err
	}
	version, err := s.vault.PutCredential(ctx, id, fields, &doc.version)
	if err != nil {
		return s.notWritten(id, err)
	}
	s.say("stored %s (%s), version %d; %s", id, v.method.Name(), version, s.tell(ctx, id))
	return nil
}

// merge returns the fields with the changes; an empty value removes one.
func merge(base, changes map[string]string) map[string]string {
	merged := make(map[string]string, len(base)+len(changes))
	maps.Copy(merged, base)
	for name, value := range changes {
		if value == "" {
			delete(merged, name)
			continue
		}
		merged[name] = value
	}
	return merged
}

// refusal returns why a document is not stored; nil if it may be. A field that
// the method does not know and that was stored before is left in peace, unless
// it belongs to a method that the credential no longer has.
func (s *session) refusal(id credential.ID, v verdict, fields map[string]string, doc stored, given map[string]string) error {
	if !doc.there && len(fields) < len(given) {
		return fmt.Errorf("%s is not stored: a field is to be removed, and there is no such credential", id)
	}
	problems := slices.Clone(v.problems)
	moved := doc.fields["provider"] != fields["provider"] || doc.fields["auth"] != fields["auth"]
	for _, name := range v.unknown {
		_, isGiven := given[name]
		switch {
		case isGiven:
			problems = append(problems, unknownField(v.method, name))
		case moved:
			problems = append(problems, unknownField(v.method, name)+": remove it with "+plainName(name)+"=, or use --replace")
		default:
			s.warn("field %s is not known to %s, and is kept", plainName(name), v.method.Name())
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return errors.New(s.refused(fmt.Sprintf("%s is not stored", id), problems, v))
}

// refused lists problems and, for whoever does not know the fields, those that
// the method has.
func (s *session) refused(what string, problems []string, v verdict) string {
	var b strings.Builder
	b.WriteString(what + ":")
	for _, problem := range problems {
		b.WriteString("\n- " + clean(problem))
	}
	lost := func(problem string) bool {
		return strings.Contains(problem, "missing") || strings.Contains(problem, "not known")
	}
	if v.method.Provider != "" && slices.ContainsFunc(problems, lost) {
		b.WriteString("\n\n")
		s.writeMethod(&b, v.method)
	}
	return strings.TrimRight(b.String(), "\n")
}

// notWritten says that a write did not succeed. After most errors it may have
// happened all the same.
func (s *session) notWritten(id credential.ID, err error) error {
	if errors.Is(err, credential.ErrConflict) {
		return explain(fmt.Errorf("%s is not stored: %w", id, credential.ErrConflict), s.config)
	}
	return explain(fmt.Errorf("%s: %w", id, err), s.config)
}
