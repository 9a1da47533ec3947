package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"refresher/internal/credential"
	"refresher/refreshers"
)

func (p *program) fieldsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "fields [PROVIDER [AUTH]]",
		Short: "Show which fields a credential has",
		Example: `  refresher credentials fields
  refresher credentials fields checkfront
  refresher credentials fields checkfront token_pair`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 2 {
				return usage(cmd, "there is one argument too many: %s", shownWord(args[2]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s, _, err := p.prepare()
			if err != nil {
				return err
			}
			args = append(args, "", "")
			found, err := s.pick(args[0], args[1])
			if err != nil {
				return usage(cmd, "%s", strings.Join(problemsOf(err), "; "))
			}
			for i, m := range found {
				if i > 0 {
					p.say("")
				}
				s.writeMethod(p.Stdout, m)
			}
			return nil
		},
	}
}

// pick returns the methods of a provider, or the one that is named, or all.
func (s *session) pick(provider, auth string) ([]refreshers.Method, error) {
	if provider == "" {
		return s.methods.Methods(), nil
	}
	if _, err := s.methods.Find(provider, auth); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(s.methods.Methods(), func(m refreshers.Method) bool {
		return m.Provider != provider || auth != "" && m.Auth != auth
	}), nil
}

// writeMethod writes which fields a method's credentials have.
func (s *session) writeMethod(w io.Writer, m refreshers.Method) {
	fmt.Fprintf(w, "%s (%s)\n", m.Name(), m.Upkeep)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, need, doc string) { fmt.Fprintf(table, "  %s\t%s\t%s\n", name, need, doc) }
	line("provider", "required", m.Provider)
	if first, err := s.methods.Find(m.Provider, ""); err == nil && first.Auth == m.Auth {
		line("auth", "", m.Auth+", which is meant if it is left out")
	} else {
		line("auth", "required", m.Auth)
	}
	where := "where the provider is called, below " + strings.Join(m.Hosts, " or ")
	if m.DefaultBaseURL == nil {
		line("base_url", "required", where)
	} else {
		line("base_url", "", where+"; default "+m.DefaultBaseURL(credential.Credential{}))
	}
	for _, f := range m.Fields {
		line(f.Name, need(f), f.Doc)
	}
	line("api_url", "", "what readers are told to call, if it is not base_url")
	line("paused", "", "true: the provider is not called")
	_ = table.Flush()
}

func need(f refreshers.Field) string {
	var words []string
	if f.Required {
		words = append(words, "required")
	}
	if f.Secret {
		words = append(words, "secret")
	}
	return strings.Join(words, ", ")
}

// commonFields are those that every method has.
func commonFields() []string { return []string{"provider", "auth", "base_url", "api_url", "paused"} }

// verdict is what is to be said of a document before it is stored.
type verdict struct {
	method   refreshers.Method
	problems []string
	// unknown are fields that the method does not know.
	unknown []string
}

// judge checks a document as the service would.
func (s *session) judge(id credential.ID, fields map[string]string) verdict {
	data := make(map[string]any, len(fields))
	for name, value := range fields {
		data[name] = value
	}
	c, err := credential.Parse(id, data)
	if err != nil {
		return verdict{problems: s.withProviders(problemsOf(err), fields)}
	}
	m, c, err := s.methods.Resolve(c, s.guard)
	v := verdict{method: m, problems: problemsOf(err)}
	if m.Provider == "" {
		v.problems = s.suggestMethod(v.problems, c)
		return v
	}
	v.unknown = m.Unknown(c)
	for i := range v.problems { // the unknown ones are said on their own
		v.problems[i], _, _ = strings.Cut(v.problems[i], "; not known to "+m.Name())
	}
	return v
}

// withProviders adds to a missing provider which there are.
func (s *session) withProviders(problems []string, fields map[string]string) []string {
	if fields["provider"] == "" && len(problems) == 1 {
		problems[0] += "; known are " + strings.Join(s.methods.Providers(), ", ")
	}
	return problems
}

// suggestMethod adds the provider that may have been meant.
func (s *session) suggestMethod(problems []string, c credential.Credential) []string {
	if near := nearest(c.Provider, s.methods.Providers()); near != c.Provider && len(problems) > 0 {
		problems[0] += didYouMean(near)
	}
	return problems
}

// unknownField says that a method does not know a field, and which might have
// been meant. The name is repeated only if it can be one.
func unknownField(m refreshers.Method, name string) string {
	known := commonFields()
	for _, f := range m.Fields {
		known = append(known, f.Name)
	}
	shown := "one field"
	if isFieldName(name) {
		shown = fmt.Sprintf("field %q", name)
	}
	return fmt.Sprintf("%s is not known to %s%s", shown, m.Name(), didYouMean(nearest(name, known)))
}

// problemsOf takes a registry's error apart; nil for nil.
func problemsOf(err error) []string {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*credential.Error](err); ok && e.Err != nil {
		err = e.Err
	}
	problems := strings.Split(err.Error(), "; field")
	for i := range problems[1:] {
		problems[i+1] = "field" + problems[i+1]
	}
	return problems
}

// sortedNames returns a document's field names.
func sortedNames(fields map[string]string) []string { return slices.Sorted(maps.Keys(fields)) }
