package clicrdv

import (
	"maps"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

const (
	apiKey   = credential.Secret("made-up-apikey+/=%2b&x")
	password = credential.Secret("secret-password:é+%2b")
	cookie   = credential.Secret("_session_id=4e8c5362ed2abeddca00000c")
	// hashed is the SHA-1 of password, made with coreutils.
	hashed = "bcbfafd584c491260c20700fa44a674a6904a8d5"
)

func settings() Settings {
	s := DefaultSettings()
	s.Now = refresherstest.Start
	return s
}

func stored() credential.Credential {
	return credential.Credential{
		ID: credential.ID{Tenant: "acme", Name: "agenda"}, Provider: Provider, BaseURL: ProductionURL,
		Fields: map[string]credential.Secret{
			"api_key": apiKey, "email": "usager@example.fr", "password": password, "user_type": "pro",
		},
	}
}

func with(c credential.Credential, fields ...string) credential.Credential {
	c.Fields = maps.Clone(c.Fields)
	for i := 0; i < len(fields); i += 2 {
		c.Fields[fields[i]] = credential.Secret(fields[i+1])
	}
	return c
}

// published is a session that was touched the given time before Start.
func publishedSession(ago time.Duration) credential.Token {
	return credential.Token{
		Provider: Provider, Auth: "session", BaseURL: ProductionURL, Status: credential.StatusActive, Generation: 3,
		Headers:   map[string]credential.Secret{"Cookie": cookie},
		Query:     map[string]credential.Secret{"apikey": apiKey},
		ExpiresAt: refresherstest.Start().Add(time.Hour - ago),
	}
}

func loggedInAnswer(t testing.TB) refreshers.Answer {
	return refresherstest.With(refresherstest.Fixture(t, 200, "testdata/login.json"), "Set-Cookie", "_session_id=0f0f0f0f-new-session; path=/; HttpOnly")
}

func groupsAnswer(t testing.TB) refreshers.Answer {
	return refresherstest.Fixture(t, 200, "testdata/groups.json")
}

func nobodyAnswer() refreshers.Answer { return refresherstest.JSON(401, `{"error":"who?"}`) }

func TestConformance(t *testing.T) {
	t.Parallel()
	session, basic := Methods(settings())[0], Methods(settings())[1]
	live := publishedSession(20 * time.Minute)
	ended := publishedSession(51 * time.Minute)
	for name, s := range map[string]refresherstest.Subject{
		"first login": {
			Method: session, Credential: stored(), Renewed: true,
			Success: []refreshers.Answer{loggedInAnswer(t), groupsAnswer(t), nobodyAnswer()},
		},
		"first login by hash": {
			Method: session, Credential: with(stored(), "password", "", "password_sha1", hashed), Renewed: true,
			Success: []refreshers.Answer{loggedInAnswer(t), groupsAnswer(t), nobodyAnswer()},
		},
		"touch":       {Method: session, Credential: stored(), Current: live, Success: []refreshers.Answer{groupsAnswer(t)}},
		"login again": {Method: session, Credential: stored(), Current: ended, Renewed: true, Success: []refreshers.Answer{loggedInAnswer(t)}},
		"first verification": {
			Method: basic, Credential: with(stored(), "user_type", ""),
			Success: []refreshers.Answer{groupsAnswer(t), nobodyAnswer()},
		},
		"verification": {
			Method: basic, Credential: with(stored(), "user_type", ""), Current: credential.Token{Generation: 1},
			Success: []refreshers.Answer{groupsAnswer(t)},
		},
	} {
		s.InURL, s.Query = []string{"api_key"}, []string{"apikey"}
		s.Secrets = []string{hashed}
		s.Headers = []string{"Authorization"}
		s.Credential.Auth = s.Method.Auth
		if s.Method.Auth == "session" {
			s.Headers, s.MaxLifetime = []string{"Cookie"}, time.Hour
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refresherstest.Run(t, s)
		})
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	registry := refreshers.NewRegistry(Methods(DefaultSettings()))
	anyURL := func(string, []string) error { return nil }
	for name, tc := range map[string]struct {
		fields []string
		want   string // in the error, or the base URL
	}{
		"production":       {nil, ProductionURL},
		"sandbox":          {[]string{"environment", "sandbox"}, SandboxURL},
		"hash":             {[]string{"password", "", "password_sha1", hashed}, ProductionURL},
		"both":             {[]string{"password_sha1", hashed}, "exactly one"},
		"neither":          {[]string{"password", ""}, "exactly one"},
		"hash in capitals": {[]string{"password", "", "password_sha1", strings.ToUpper(hashed)}, `field "password_sha1": must be 40 lowercase`},
		"environment":      {[]string{"environment", "staging"}, `field "environment"`},
		"user type":        {[]string{"user_type", "admin"}, `field "user_type"`},
		"path":             {[]string{"probe_path", "/api/v1/pros/me.json?x=1"}, ProductionURL},
		"not a path":       {[]string{"probe_path", "https://evil.example/"}, `field "probe_path"`},
		"another host":     {[]string{"probe_path", "//evil.example/"}, `field "probe_path"`},
		"a user's part":    {[]string{"probe_path", "@evil.example/"}, `field "probe_path"`},
		"a fragment":       {[]string{"probe_path", "/api#x"}, `field "probe_path"`},
		"the key itself":   {[]string{"probe_path", "/api?apikey=x"}, "must not hold the apikey"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := with(stored(), tc.fields...)
			c.BaseURL = ""
			_, c, err := registry.Resolve(c, anyURL)
			got := c.BaseURL
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, tc.want) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
