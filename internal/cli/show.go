package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"refresher/internal/credential"
	"refresher/refreshers"
)

const redacted = "[redacted]"

func (p *program) showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "show TENANT/NAME",
		SuggestFor: []string{"describe", "get", "cat"},
		Short:      "Show one credential, without its secrets",
		Long: `Show one credential: its fields, what is published, and for a rotating method the
state of its grant. Secrets are not shown, and neither is a field that its method
does not know.`,
		Example: "  refresher credentials show acme/main\n  refresher credentials show acme/main -o json",
		Args:    oneArg("TENANT/NAME"),
	}
	output := outputFlag(cmd, "text")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseID(cmd, args[0])
		if err != nil {
			return err
		}
		return p.within(cmd.Context(), func(s *session) error {
			v, err := s.view(cmd.Context(), id)
			if err != nil {
				return err
			}
			if output.word == "json" {
				return writeJSON(s.Stdout, v)
			}
			v.write(s.Stdout, s.Now())
			return nil
		})
	}
	return cmd
}

// view is what may be shown of one credential.
type view struct {
	Tenant    string `json:"tenant"`
	Name      string `json:"name"`
	Provider  string `json:"provider,omitempty"`
	Auth      string `json:"auth,omitempty"`
	Upkeep    string `json:"upkeep,omitempty"`
	Status    string `json:"status"`
	LastError string `json:"last_error,omitempty"`
	// Problem is what is wrong with the fields, as this configuration sees them.
	Problem  string    `json:"problem,omitempty"`
	Version  int       `json:"version"`
	StoredAt time.Time `json:"stored_at,omitzero"`
	// Fields has "[redacted]" for what is secret.
	Fields  map[string]string `json:"fields"`
	Unknown []string          `json:"unknown_fields,omitempty"`
	Token   *tokenView        `json:"token,omitempty"`
	Grant   *grantView        `json:"grant,omitempty"`
	Queue   *queueView        `json:"queue,omitempty"`
}

// tokenView is what may be shown of a published token.
type tokenView struct {
	Status      credential.Status `json:"status"`
	Message     string            `json:"message,omitempty"`
	BaseURL     string            `json:"base_url,omitempty"`
	Generation  int               `json:"generation"`
	TokenType   string            `json:"token_type,omitempty"`
	IssuedAt    time.Time         `json:"issued_at,omitzero"`
	ExpiresAt   time.Time         `json:"expires_at,omitzero"`
	RenewAt     time.Time         `json:"renew_at,omitzero"`
	HeaderNames []string          `json:"header_names,omitempty"`
	QueryNames  []string          `json:"query_names,omitempty"`
}

// grantView is what may be shown of a grant.
type grantView struct {
	// Problem is why nothing else is known.
	Problem              string      `json:"problem,omitempty"`
	State                string      `json:"state,omitempty"`
	Generation           int         `json:"generation"`
	RefreshTokenIssuedAt time.Time   `json:"refresh_token_issued_at,omitzero"`
	RefreshTokenDiesAt   time.Time   `json:"refresh_token_dies_at,omitzero"`
	Seeds                int         `json:"seeds_adopted"`
	Intent               *intentView `json:"intent,omitempty"`
}

type intentView struct {
	Attempt string    `json:"attempt"`
	Owner   string    `json:"owner"`
	BeganAt time.Time `json:"began_at,omitzero"`
	Probe   bool      `json:"probe"`
}

// queueView is what the service's queue knows.
type queueView struct {
	NextAt   time.Time `json:"next_renewal_at,omitzero"`
	Failures int       `json:"failures"`
	Forced   bool      `json:"forced"`
}

// view reads what may be shown of a credential.
func (s *session) view(ctx context.Context, id credential.ID) (view, error) {
	f := s.find(ctx, id)
	if errors.Is(f.credErr, credential.ErrNotFound) && f.token.Status == "" {
		return view{}, s.notStored(ctx, id)
	}
	if err := f.unreadable(); err != nil {
		return view{}, explain(fmt.Errorf("%s: %w", id, err), s.config)
	}
	v := view{
		Tenant: id.Tenant, Name: id.Name, Provider: shownMethod(f.cred.Provider), Auth: shownMethod(f.cred.Auth),
		Version: f.cred.Version, StoredAt: f.cred.StoredAt, Token: viewToken(f.token),
	}
	v.Status, v.LastError = f.standing(s.Now())
	method, err := s.viewFields(ctx, id, f, &v)
	if err != nil {
		return view{}, err
	}
	if method.Upkeep == refreshers.Rotating {
		v.Grant = s.viewGrant(ctx, id, method)
	}
	if entry, ok := s.dueTimes(ctx)[id]; ok {
		v.Queue = &queueView{NextAt: entry.Due, Failures: entry.Memo.Failures, Forced: entry.Memo.Forced}
	}
	return v, nil
}

// viewFields fills in the fields, each as far as it may be shown, and returns
// the method that says so. Without a method nothing may be shown.
func (s *session) viewFields(ctx context.Context, id credential.ID, f found, v *view) (refreshers.Method, error) {
	v.Fields = map[string]string{}
	if errors.Is(f.credErr, credential.ErrNotFound) {
		return refreshers.Method{}, nil
	}
	data, _, err := s.vault.CredentialData(ctx, id)
	if err != nil {
		return refreshers.Method{}, explain(fmt.Errorf("%s: %w", id, err), s.config)
	}
	method, _, problem := s.methods.Resolve(f.cred, s.guard)
	if f.credErr != nil {
		method, problem = refreshers.Method{}, f.credErr
	}
	if problem != nil {
		v.Problem = sentence(problem)
	}
	if method.Provider != "" {
		v.Auth, v.Upkeep = method.Auth, method.Upkeep.String()
		v.Unknown = method.Unknown(f.cred)
	}
	for name, value := range data {
		v.Fields[name] = shownValue(method, name, value)
	}
	return method, nil
}

// shownValue returns what may be shown of a field: nothing of a secret one, of
// one that the method does not know, or of one that is wrong, which may be a
// secret in the wrong place.
func shownValue(m refreshers.Method, name string, value any) string {
	text, ok := value.(string)
	if !ok {
		return "[not a string]"
	}
	switch name {
	case "provider", "auth":
		return shownMethod(text)
	case "paused":
		if text == "true" || text == "false" || text == "" {
			return text
		}
		return redacted
	case "base_url", "api_url":
		return shownURL(text)
	}
	i := slices.IndexFunc(m.Fields, func(f refreshers.Field) bool { return f.Name == name })
	if i < 0 {
		return redacted
	}
	return shownField(m.Fields[i], text)
}

func shownField(f refreshers.Field, text string) string {
	switch {
	case f.Secret:
		return redacted
	case f.URL:
		return shownURL(text)
	case f.Check != nil && text != "" && f.Check(text) != nil:
		return redacted
	default:
		return text
	}
}

// shownMethod returns the name of a provider or a method if it can be one.
func shownMethod(text string) string {
	if text != "" && !isFieldName(text) {
		return redacted
	}
	return text
}

// shownURL returns a URL if there is no place in it for a secret.
func shownURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return redacted
	}
	return text
}

func viewToken(t credential.Token) *tokenView {
	if t.Status == "" {
		return nil
	}
	return &tokenView{
		Status: t.Status, Message: t.Message, BaseURL: shownURL(t.BaseURL), Generation: t.Generation, TokenType: t.TokenType,
		IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt, RenewAt: t.RenewAt,
		HeaderNames: slices.Sorted(maps.Keys(t.Headers)), QueryNames: slices.Sorted(maps.Keys(t.Query)),
	}
}

// viewGrant reads what may be shown of a grant. That the caller may not read it
// is normal: it holds the refresh token.
func (s *session) viewGrant(ctx context.Context, id credential.ID, m refreshers.Method) *grantView {
	g, _, err := s.vault.Grant(ctx, id)
	switch {
	case err != nil && credential.KindOf(err) == credential.KindMisconfigured:
		return &grantView{Problem: sentence(err)}
	case err != nil:
		return &grantView{Problem: shortReason(err)}
	case g.State == "":
		return &grantView{State: "none yet"}
	}
	v := &grantView{
		State: string(g.State), Generation: g.Generation, Seeds: len(g.Seeds), RefreshTokenIssuedAt: g.RefreshTokenIssuedAt,
	}
	if !g.RefreshTokenIssuedAt.IsZero() && g.State != credential.GrantDead {
		v.RefreshTokenDiesAt = g.RefreshTokenIssuedAt.Add(m.GrantLifetime)
	}
	if g.Intent != nil {
		v.Intent = &intentView{Attempt: g.Intent.Attempt, Owner: g.Intent.Owner, BeganAt: g.Intent.BeganAt, Probe: g.Intent.Probe}
	}
	return v
}
