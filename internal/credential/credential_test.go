package credential_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"refresher/internal/credential"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"acme/main": true, "a/0": true, "0-a_b/x": true, strings.Repeat("a", 63) + "/b": true,
		"": false, "acme": false, "acme/": false, "/main": false, "acme/main/more": false, "Acme/main": false,
		"../etc": false, "acme/..": false, "ac me/main": false, "acme/50%": false, "-a/b": false, "_a/b": false,
		strings.Repeat("a", 64) + "/b": false, "acme/main\n": false, "é/b": false,
	} {
		id, err := credential.ParseID(text)
		if (err == nil) != ok {
			t.Errorf("%q: %v, want ok %v", text, err, ok)
		}
		if ok && id.String() != text {
			t.Errorf("%q came back as %q", text, id)
		}
	}
}

// TestSecretsAreNeverShown prints, logs and marshals a secret in every way there
// is, by itself and inside of what holds secrets.
func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	const hidden = "sim-hidden-value"
	s := credential.Secret(hidden)
	held := struct {
		Token credential.Token
		Grant credential.Grant
		Cred  credential.Credential
		Ptr   *credential.Secret
	}{
		credential.Token{AccessToken: s, Headers: map[string]credential.Secret{"Authorization": s}, Query: map[string]credential.Secret{"k": s}},
		credential.Grant{RefreshToken: s, AccessToken: s},
		credential.Credential{Fields: map[string]credential.Secret{"client_secret": s}},
		&s,
	}
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&shown, verb, s)
		fmt.Fprintf(&shown, verb, held)
		fmt.Fprintf(&shown, verb, &held)
	}
	fmt.Fprint(&shown, s.String(), fmt.Errorf("wrapped: %v", s))
	for _, v := range []any{s, held, map[string]any{"x": s}} {
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		y, err := yaml.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(j)
		shown.Write(y)
	}
	log := zerolog.New(&shown)
	log.Info().Object("object", s).Interface("any", held).Stringer("text", s).Any("one", s).Msg("")
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden)} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("the secret is shown as %s in %s", form, shown.String())
		}
	}
	if s.Reveal() != hidden {
		t.Error("Reveal does not")
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	id := credential.ID{Tenant: "acme", Name: "main"}
	good, err := credential.Parse(id, map[string]any{
		"provider": "kibo", "auth": "a", "base_url": "b", "api_url": "c", "paused": "true", "client_id": "d",
	})
	want := credential.Credential{
		ID: id, Provider: "kibo", Auth: "a", BaseURL: "b", APIURL: "c", Paused: true,
		Fields: map[string]credential.Secret{"client_id": "d"},
	}
	if err != nil || !reflect.DeepEqual(good, want) {
		t.Errorf("%+v, %v", good, err)
	}
	for name, tc := range map[string]struct {
		data map[string]any
		says string
	}{
		"nothing":         {nil, `"provider" is missing`},
		"a number":        {map[string]any{"provider": "kibo", "client_id": json.Number("7")}, `"client_id" holds a number`},
		"a boolean":       {map[string]any{"provider": "kibo", "paused": true}, `"paused" holds a boolean`},
		"an object":       {map[string]any{"provider": "kibo", "x": map[string]any{}}, `"x" holds an object`},
		"a list":          {map[string]any{"provider": "kibo", "x": []any{}}, `"x" holds a list`},
		"null":            {map[string]any{"provider": nil}, `"provider" holds null`},
		"paused by what?": {map[string]any{"provider": "kibo", "paused": "sim-maybe"}, `"paused" must be`},
	} {
		_, err := credential.Parse(id, tc.data)
		if credential.KindOf(err) != credential.KindMisconfigured || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want misconfigured saying %s", name, err, tc.says)
		}
		if err != nil && strings.Contains(err.Error(), "sim-maybe") {
			t.Errorf("%s: the error shows a value", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"provider":"kibo","paused":"true","x":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var data map[string]any
		if json.Unmarshal(text, &data) != nil {
			return
		}
		c, err := credential.Parse(credential.ID{Tenant: "a", Name: "b"}, data)
		if err != nil && credential.KindOf(err) != credential.KindMisconfigured {
			t.Fatalf("%v is no misconfiguration", err)
		}
		if err == nil && c.Provider == "" {
			t.Fatal("no provider, and no error")
		}
	})
}

func TestErrorsSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	inner := &credential.Error{Kind: credential.KindRejected, Provider: "kibo", Code: "http_401", RetryAfter: time.Second, Err: io.EOF}
	err := fmt.Errorf("renew: %w", inner)
	if credential.KindOf(err) != credential.KindRejected || credential.CodeOf(err) != "http_401" || credential.RetryAfterOf(err) != time.Second {
		t.Error("kind, code or wait are lost in wrapping")
	}
	if !errors.Is(err, io.EOF) || err.Error() != "renew: kibo: http_401: EOF" {
		t.Errorf("%v", err)
	}
	if credential.KindOf(io.EOF) != credential.KindTransient || credential.CodeOf(io.EOF) != "unknown" || credential.RetryAfterOf(nil) != 0 {
		t.Error("an error of another kind is not transient and unknown")
	}
	if !errors.Is(credential.ErrDeleted, credential.ErrNotFound) {
		t.Error("what was deleted is not found")
	}
}

func TestGrantCloneSharesNothing(t *testing.T) {
	t.Parallel()
	g := credential.Grant{Seeds: []string{"a"}, Intent: &credential.Intent{Attempt: "x", Earlier: []string{"w"}}}
	c := g.Clone()
	c.Seeds[0], c.Intent.Attempt, c.Intent.Earlier[0] = "b", "y", "v"
	if g.Seeds[0] != "a" || g.Intent.Attempt != "x" || g.Intent.Earlier[0] != "w" {
		t.Errorf("a change of the clone shows in the original: %+v", g)
	}
	if !g.Adopted("") == (credential.Secret("").Hash() == "a") {
		t.Error("an unknown seed counts as adopted")
	}
}

func TestTokensAreEqualInEveryField(t *testing.T) {
	t.Parallel()
	full := credential.Token{
		Provider: "p", Auth: "a", BaseURL: "b", Status: credential.StatusActive, AccessToken: "t", TokenType: "y",
		Headers: map[string]credential.Secret{"h": "v"}, Query: map[string]credential.Secret{"q": "v"},
		IssuedAt: time.Unix(1, 0), ExpiresAt: time.Unix(2, 0), RenewAt: time.Unix(3, 0), Generation: 4, Message: "m",
	}
	zone := full
	zone.IssuedAt = zone.IssuedAt.UTC()
	if !full.Equal(zone) {
		t.Error("another time zone makes a difference")
	}
	v := reflect.ValueOf(&full).Elem()
	for i := range v.NumField() {
		changed := full
		reflect.ValueOf(&changed).Elem().Field(i).SetZero()
		if full.Equal(changed) {
			t.Errorf("a change of %s is not seen", v.Type().Field(i).Name)
		}
	}
}
