package refreshers

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"refresher/internal/credential"
)

// Registry knows all methods of all providers. It does not change once made, so
// it may be used from several goroutines.
type Registry struct {
	methods []Method
}

// NewRegistry returns a registry of the methods; the first one of a provider is
// its default. It panics if two have the same name: that is a mistake in the program.
func NewRegistry(methods ...[]Method) *Registry {
	r := &Registry{methods: slices.Concat(methods...)}
	seen := make(map[string]bool, len(r.methods))
	for _, m := range r.methods {
		if seen[m.Name()] {
			panic("refreshers: two methods are called " + m.Name())
		}
		seen[m.Name()] = true
	}
	return r
}

// Methods returns all methods in the order in which they were registered.
func (r *Registry) Methods() []Method { return slices.Clone(r.methods) }

// Find returns a provider's method; an empty auth means its first one.
func (r *Registry) Find(provider, auth string) (Method, error) {
	var names []string
	for _, m := range r.methods {
		if m.Provider != provider {
			continue
		}
		if auth == "" || m.Auth == auth {
			return m, nil
		}
		names = append(names, m.Auth)
	}
	if len(names) == 0 {
		return Method{}, credential.Misconfigured("", "unknown_provider",
			fmt.Errorf(`field "provider": %s is not known; known are %s`, word(provider), strings.Join(r.Providers(), ", ")))
	}
	return Method{}, credential.Misconfigured(provider, "unknown_method",
		fmt.Errorf(`field "auth": %s is not a method of %s; its methods are %s`, word(auth), provider, strings.Join(names, ", ")))
}

// Providers returns the names of all providers, each once, in order of registration.
func (r *Registry) Providers() []string {
	var names []string
	for _, m := range r.methods {
		if !slices.Contains(names, m.Provider) {
			names = append(names, m.Provider)
		}
	}
	return names
}

// Resolve finds the method of a stored credential, checks its fields, and
// returns the credential completed: Auth and BaseURL filled in. All that is wrong is said at once, in one
// KindMisconfigured error that names the fields. Fields that the method does not
// know are ignored here, so that one that a newer version knows does no harm;
// Unknown lists them. guard checks a URL against the method's hosts.
func (r *Registry) Resolve(c credential.Credential, guard func(rawURL string, hosts []string) error) (Method, credential.Credential, error) {
	m, err := r.Find(c.Provider, c.Auth)
	if err != nil {
		return Method{}, c, err
	}
	c.Auth = m.Auth
	problems := m.checkFields(c, guard)
	if c.BaseURL == "" && m.DefaultBaseURL != nil && len(problems) == 0 {
		c.BaseURL = m.DefaultBaseURL(c)
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	if err := m.checkBaseURL(c.BaseURL, guard); err != nil {
		problems = append(problems, err)
	}
	if len(problems) == 0 && m.Check != nil {
		if err := m.Check(c); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		if err := m.misspelt(c); err != nil {
			problems = append(problems, err)
		}
		return m, c, credential.Misconfigured(m.Provider, "bad_field", joinLine(problems))
	}
	return m, c, nil
}

// misspelt names the fields that the method does not know, for whoever looks for
// one that is missing.
func (m Method) misspelt(c credential.Credential) error {
	names := m.Unknown(c)
	if len(names) == 0 {
		return nil
	}
	shown := make([]string, 0, 3)
	for _, name := range names[:min(len(names), 3)] {
		shown = append(shown, word(name))
	}
	return fmt.Errorf("not known to %s: %s", m.Name(), strings.Join(shown, ", "))
}

func (m Method) checkFields(c credential.Credential, guard func(string, []string) error) []error {
	var problems []error
	for _, f := range m.Fields {
		value := c.Field(f.Name)
		switch {
		case value == "" && f.Required:
			problems = append(problems, fmt.Errorf("field %q is missing", f.Name))
		case value != "" && f.URL:
			if err := guard(value, m.Hosts); err != nil {
				problems = append(problems, fmt.Errorf("field %q: %w", f.Name, err))
			}
		case value != "" && f.Check != nil:
			if err := f.Check(value); err != nil {
				problems = append(problems, fmt.Errorf("field %q: %w", f.Name, err))
			}
		}
	}
	return problems
}

// checkBaseURL checks a base URL that was completed as far as it can be.
func (m Method) checkBaseURL(baseURL string, guard func(string, []string) error) error {
	if baseURL == "" {
		if m.DefaultBaseURL == nil {
			return errors.New(`field "base_url" is missing`)
		}
		return nil // left out because of another problem
	}
	if err := guard(baseURL, m.Hosts); err != nil {
		return fmt.Errorf(`field "base_url": %w`, err)
	}
	return nil
}

// Unknown returns the names of c's fields that the method does not know, sorted.
func (m Method) Unknown(c credential.Credential) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
		if !slices.ContainsFunc(m.Fields, func(f Field) bool { return f.Name == name }) {
			names = append(names, name)
		}
	}
	return names
}

// APIURL returns what readers of c's token call.
func (m Method) APIURL(c credential.Credential) string {
	if c.APIURL != "" {
		return c.APIURL
	}
	if m.DefaultAPIURL != nil {
		if u := m.DefaultAPIURL(c); u != "" {
			return u
		}
	}
	return c.BaseURL
}

// joinLine joins errors into one that stands on a single line.
func joinLine(errs []error) error {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}

// word quotes what stands where a name should, if it looks like one. Anything
// else may be a secret in the wrong place.
func word(s string) string {
	if name.MatchString(s) {
		return strconv.Quote(s)
	}
	return "what is stored there"
}

var name = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,19}$`)
