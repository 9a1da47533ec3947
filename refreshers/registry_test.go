package refreshers_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

func methods() [][]refreshers.Method {
	return [][]refreshers.Method{
		{
			{
				Provider: "acme", Auth: "oauth2", Hosts: []string{"*.acme.example"},
				Fields: []refreshers.Field{
					{Name: "client_id", Required: true},
					{Name: "client_secret", Required: true, Secret: true, Check: refreshers.CheckKey},
					{Name: "probe_url", URL: true},
				},
				Check: func(c credential.Credential) error {
					if c.Field("client_id") == "both" {
						return errors.New("cannot be both")
					}
					return nil
				},
			},
			{Provider: "acme", Auth: "basic", DefaultBaseURL: func(c credential.Credential) string { return "https://" + c.Field("region") + ".acme.example" }},
		},
		{{Provider: "other", Auth: "key", DefaultBaseURL: func(credential.Credential) string { return "https://other.example/v2/" }, DefaultAPIURL: apiURL}},
	}
}

func apiURL(c credential.Credential) string { return c.Field("api") }

// guard refuses what holds the word "evil", and remembers what it saw.
func guard(seen *[]string) func(string, []string) error {
	return func(rawURL string, hosts []string) error {
		*seen = append(*seen, rawURL+" "+strings.Join(hosts, ","))
		if strings.Contains(rawURL, "evil") {
			return errors.New("not allowed")
		}
		return nil
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	r := refreshers.NewRegistry(methods()...)
	for _, tc := range []struct{ provider, auth, want string }{
		{"acme", "", "acme/oauth2"},
		{"acme", "basic", "acme/basic"},
		{"other", "", "other/key"},
		{"acme", "magic", `unknown_method: field "auth": "magic" is not a method of acme; its methods are oauth2, basic`},
		{"", "", `known are acme, other`},
		{strings.Repeat("x", 60), "", "what is stored there is not known"},
	} {
		m, err := r.Find(tc.provider, tc.auth)
		got := m.Name()
		if err != nil {
			got = err.Error()
			if credential.KindOf(err) != credential.KindMisconfigured {
				t.Errorf("%s/%s: kind is %v", tc.provider, tc.auth, credential.KindOf(err))
			}
		}
		if !strings.Contains(got, tc.want) {
			t.Errorf("%s/%s: %s, want %s", tc.provider, tc.auth, got, tc.want)
		}
	}
}

func TestRegistryKeepsItsMethods(t *testing.T) {
	t.Parallel()
	r := refreshers.NewRegistry(methods()...)
	if got := r.Providers(); !slices.Equal(got, []string{"acme", "other"}) {
		t.Errorf("providers are %q", got)
	}
	list := r.Methods()
	if len(list) != 3 {
		t.Fatalf("%d methods", len(list))
	}
	list[0].Provider = "changed"
	if r.Methods()[0].Provider != "acme" {
		t.Error("the registry was changed from outside")
	}
}

func TestRegistryPanicsAtTheSameNameTwice(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	refreshers.NewRegistry(methods()[0], methods()[0])
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		c    credential.Credential
		base string
		err  []string // all must be in the error
	}{
		"complete": {
			credential.Credential{Provider: "acme", BaseURL: "https://a.acme.example/", Fields: fields("client_id", "i", "client_secret", "s")},
			"https://a.acme.example", nil,
		},
		"default": {credential.Credential{Provider: "other"}, "https://other.example/v2", nil},
		"default from fields": {
			credential.Credential{Provider: "acme", Auth: "basic", Fields: fields("region", "eu")},
			"https://eu.acme.example", nil,
		},
		"default not allowed": {credential.Credential{Provider: "acme", Auth: "basic", Fields: fields("region", "evil")}, "", []string{`field "base_url": not allowed`}},
		"all that is wrong": {
			credential.Credential{Provider: "acme", Fields: fields("client_secret", " s", "probe_url", "https://evil.example")},
			"",
			[]string{`field "client_id" is missing`, `field "client_secret": has a space`, `field "probe_url": not allowed`, `field "base_url" is missing`, "acme: bad_field"},
		},
		"wrong together": {
			credential.Credential{Provider: "acme", BaseURL: "https://a.acme.example", Fields: fields("client_id", "both", "client_secret", "s")},
			"",
			[]string{"cannot be both"},
		},
		"base_url not allowed": {
			credential.Credential{Provider: "acme", BaseURL: "https://evil.example", Fields: fields("client_id", "both", "client_secret", "s")},
			"",
			[]string{`field "base_url": not allowed`},
		},
		"unknown": {credential.Credential{Provider: "nobody"}, "", []string{"unknown_provider"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen []string
			m, c, err := refreshers.NewRegistry(methods()...).Resolve(tc.c, guard(&seen))
			if len(tc.err) == 0 {
				if err != nil || c.BaseURL != tc.base || c.Auth != m.Auth || c.Auth == "" {
					t.Errorf("%s with %q at %s: %v", m.Name(), c.Auth, c.BaseURL, err)
				}
				if want := c.BaseURL + " " + strings.Join(m.Hosts, ","); !slices.Contains(seen, want) {
					t.Errorf("the guard saw %q, not %q", seen, want)
				}
				return
			}
			if credential.KindOf(err) != credential.KindMisconfigured || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v: %v", credential.KindOf(err), err)
			}
			for _, want := range tc.err {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %s", err, want)
				}
			}
		})
	}
}

func fields(pairs ...string) map[string]credential.Secret {
	m := map[string]credential.Secret{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = credential.Secret(pairs[i+1])
	}
	return m
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	m := methods()[0][0]
	c := credential.Credential{Fields: fields("client_id", "x", "zeta", "x", "alpha", "x")}
	if got := m.Unknown(c); !slices.Equal(got, []string{"alpha", "zeta"}) {
		t.Errorf("unknown are %q", got)
	}
}

func TestAPIURL(t *testing.T) {
	t.Parallel()
	list := refreshers.NewRegistry(methods()...).Methods()
	base := credential.Credential{BaseURL: "https://base.example"}
	stored := base
	stored.APIURL = "https://stored.example"
	byField := base
	byField.Fields = fields("api", "https://default.example")
	for _, tc := range []struct {
		m    refreshers.Method
		c    credential.Credential
		want string
	}{
		{list[0], base, "https://base.example"},
		{list[2], base, "https://base.example"},
		{list[2], byField, "https://default.example"},
		{list[2], stored, "https://stored.example"},
	} {
		if got := tc.m.APIURL(tc.c); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.m.Name(), got, tc.want)
		}
	}
}

func TestUpkeep(t *testing.T) {
	t.Parallel()
	for u, want := range map[refreshers.Upkeep]string{
		refreshers.Static: "static", refreshers.Minted: "minted", refreshers.Session: "session", refreshers.Rotating: "rotating",
	} {
		if u.String() != want {
			t.Errorf("%d is called %s, want %s", u, u, want)
		}
	}
	if refreshers.Every(time.Minute)(credential.Credential{}) != time.Minute {
		t.Error("every minute is not every minute")
	}
}

// TestMisspeltFieldIsNamed helps whoever looks for a field that they did store.
func TestMisspeltFieldIsNamed(t *testing.T) {
	t.Parallel()
	registry := refreshers.NewRegistry([]refreshers.Method{{
		Provider: "p", Auth: "a", Fields: []refreshers.Field{{Name: "client_secret", Required: true}},
		DefaultBaseURL: func(credential.Credential) string { return "https://p.example" },
	}})
	c := credential.Credential{Provider: "p", Fields: map[string]credential.Secret{"client_secrt": "sim-hidden"}}
	_, _, err := registry.Resolve(c, func(string, []string) error { return nil })
	if err == nil || !strings.Contains(err.Error(), `"client_secret" is missing; not known to p/a: "client_secrt"`) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v", err)
	}
	c.Fields["client_secret"] = "sim-there"
	if _, _, err := registry.Resolve(c, func(string, []string) error { return nil }); err != nil {
		t.Errorf("a field that is not known does no harm by itself: %v", err)
	}
}
