package refresherstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// brokenBy names the environment variable that says how the method of TestSuite
// is to be broken.
const brokenBy = "REFRESHERSTEST_BROKEN"

// breaks are the ways in which a rotating method can be broken, each with the
// subtest that must find it.
var breaks = map[string]string{
	"sends twice":                "one_request",
	"500 is transient":           "answered_500",
	"reads the clock":            "success",
	"shows the body":             "answered_400",
	"shows the secret":           "answered_400",
	"secret in the URL":          "success",
	"replayable body":            "success",
	"drops odd tokens":           "a_token_is_never_thrown_away",
	"401 is a refusal":           "answered_401",
	"truncated is dropped":       "a_token_is_never_thrown_away",
	"request of its own":         "depends_on_the_call",
	"changes the call":           "success",
	"swallows failures":          "failures_on_the_way",
	"forgets Retry-After":        "429_with_seconds",
	"trusts the lifetime":        "lifetimes",
	"keeps the refresh token in": "success",
}

// TestSuite runs the suite on a method of the test's own, which keeps the
// contract unless the environment says how to break it.
func TestSuite(t *testing.T) {
	t.Parallel()
	broken := os.Getenv(brokenBy)
	toy := &toy{broken: broken}
	Run(t, Subject{
		Method: refreshers.Method{
			Provider: "toy", Auth: "oauth2", Upkeep: refreshers.Rotating, Hosts: []string{"toy.example"},
			Fields:   []refreshers.Field{{Name: "client_secret", Required: true, Secret: true, Doc: "a secret", Check: refreshers.CheckKey}},
			Interval: refreshers.Every(0), GrantLifetime: time.Hour, DormantInterval: time.Minute,
			Render: func(_ credential.Credential, token credential.Secret) map[string]credential.Secret {
				return map[string]credential.Secret{"Authorization": "Bearer " + token}
			},
			Refresher: toy,
		},
		Credential:   credential.Credential{Provider: "toy", BaseURL: "https://toy.example", Fields: map[string]credential.Secret{"client_secret": "toy-secret-0123456789"}},
		RefreshToken: "toy-refresh-0123456789",
		Success:      []refreshers.Answer{JSON(200, `{"access_token":"toy-access-1","expires_in":60,"refresh_token":"toy-refresh-1"}`)},
		WithLifetime: func(raw string) []refreshers.Answer {
			return []refreshers.Answer{JSON(200, fmt.Sprintf(`{"access_token":"toy-access-1","expires_in":%s,"refresh_token":"toy-refresh-1"}`, raw))}
		},
		MaxLifetime: time.Hour,
		Renewed:     true,
		Headers:     []string{"Authorization"},
	})
}

// TestSuiteFindsWhatIsBroken runs TestSuite in a process of its own for each way
// to break a method: a suite that cannot fail is worth nothing.
func TestSuiteFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	for broken, finder := range breaks {
		t.Run(broken, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuite$", "-test.v")
			cmd.Env = append(os.Environ(), brokenBy+"="+broken)
			out, err := cmd.CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Fatalf("the suite found nothing: %v", err)
			}
			var failed []string
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "--- FAIL") {
					failed = append(failed, strings.TrimSpace(line))
				}
			}
			if !slices.ContainsFunc(failed, func(line string) bool { return strings.Contains(line, finder) }) {
				t.Errorf("it was not %q that failed, but\n%s", finder, strings.Join(failed, "\n"))
			}
		})
	}
}

// toy is a rotating method.
type toy struct {
	broken string
}

func (m *toy) Renew(ctx context.Context, call refreshers.Call) (refreshers.Result, error) {
	req, err := m.request(ctx, call)
	if err != nil {
		return refreshers.Result{}, err
	}
	a, err := call.Send(ctx, req)
	switch {
	case err != nil && m.broken == "swallows failures":
		return refreshers.Result{}, &credential.Error{Kind: credential.KindAmbiguous, Provider: "toy", Code: "failed", Err: errors.New("failed")}
	case err != nil:
		return refreshers.Result{}, err
	}
	switch m.broken {
	case "sends twice":
		if a.Status >= 500 {
			_, _ = call.Send(ctx, req) // what is wrong is that it is sent
		}
	case "changes the call":
		call.Credential.Fields["last"] = "now"
	case "reads the clock":
		a.StartedAt = time.Now()
	case "truncated is dropped":
		if a.Truncated {
			a.Body = nil
		}
	}
	return m.judge(a, call)
}

func (m *toy) request(ctx context.Context, call refreshers.Call) (*http.Request, error) {
	form := url.Values{"refresh_token": {call.RefreshToken.Reveal()}}
	target := call.Credential.BaseURL + "/token"
	switch m.broken {
	case "secret in the URL":
		target += "?client_secret=" + call.Credential.Field("client_secret")
	case "request of its own":
		form.Set("nonce", fmt.Sprint(time.Now().UnixNano()))
	}
	req, err := refreshers.PostForm(ctx, "toy", target, form)
	if err == nil && m.broken == "replayable body" {
		req.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
	}
	return req, err
}

func (m *toy) judge(a refreshers.Answer, call refreshers.Call) (refreshers.Result, error) {
	fail := func(kind credential.Kind, code string) (refreshers.Result, error) {
		text := "the provider refuses"
		switch m.broken {
		case "shows the body":
			text += ": " + string(a.Body)
		case "shows the secret":
			text += ": " + call.Credential.Field("client_secret")
		case "forgets Retry-After":
			a.Header = nil
		}
		return refreshers.Result{}, a.Fail(kind, "toy", code, text)
	}
	o, _ := a.Object()
	token, ok := o.Text("access_token")
	switch {
	case ok && a.Successful() && (m.broken != "drops odd tokens" || o.Has("refresh_token") && o.Bearer()):
		return m.rotated(a, o, token), nil
	case a.Status == 429:
		return fail(credential.KindRateLimited, "http_429")
	case o.OAuthCode() == refreshers.CodeInvalidGrant, a.Status == 401 && o.OAuthCode() == "" && m.broken == "401 is a refusal":
		return fail(credential.KindRejected, refreshers.CodeInvalidGrant)
	case o.OAuthCode() == refreshers.CodeInvalidClient:
		return fail(credential.KindMisconfigured, refreshers.CodeInvalidClient)
	case a.Status == 500 && m.broken == "500 is transient":
		return fail(credential.KindTransient, "http_500")
	}
	return fail(credential.KindAmbiguous, refreshers.HTTPCode(a.Status))
}

func (m *toy) rotated(a refreshers.Answer, o refreshers.Object, token string) refreshers.Result {
	lifetime, odd := o.Lifetime("expires_in", time.Hour)
	r := refreshers.Result{Renewed: true, AccessToken: credential.Secret(token)}
	if odd != refreshers.OddNothing {
		lifetime = time.Hour
		r.Warnings = append(r.Warnings, "the lifetime "+string(odd))
	}
	if n, ok := o.Number("expires_in"); ok && m.broken == "trusts the lifetime" {
		lifetime = time.Duration(n) * time.Second
	}
	refresh, _ := o.Text("refresh_token")
	if r.RefreshToken = credential.Secret(refresh); refresh == "" {
		r.Warnings = append(r.Warnings, "no refresh token")
	}
	if m.broken == "keeps the refresh token in" {
		r.TokenType = refresh
	}
	r.ExpiresAt = a.StartedAt.Add(lifetime)
	r.Headers = map[string]credential.Secret{"Authorization": "Bearer " + r.AccessToken}
	return r
}
