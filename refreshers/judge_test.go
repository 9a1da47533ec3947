package refreshers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

func TestUndecided(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		body   string
		kind   credential.Kind
		code   string
	}{
		{429, "", credential.KindRateLimited, "http_429"},
		{429, `{"error":"invalid_grant"}`, credential.KindRateLimited, "http_429"},
		{200, "<html>", credential.KindTransient, "unreadable"},
		{204, "", credential.KindTransient, "unreadable"},
		{301, "", credential.KindTransient, "redirect"},
		{304, "", credential.KindTransient, "redirect"},
		{400, `{"error":"invalid_request"}`, credential.KindTransient, "invalid_request"},
		{400, `{"error":"their own"}`, credential.KindTransient, "http_400"},
		{401, "", credential.KindTransient, "http_401"},
		{500, `{"error":"invalid_grant"}`, credential.KindTransient, "http_500"},
		{503, "", credential.KindTransient, "http_503"},
		{0, "", credential.KindTransient, "http_unknown"},
		{12345, "", credential.KindTransient, "http_unknown"},
	} {
		a := answer(tc.status, tc.body)
		a.Header.Set("Retry-After", "7")
		err := refreshers.Undecided("acme", a)
		if credential.KindOf(err) != tc.kind || credential.CodeOf(err) != tc.code || credential.RetryAfterOf(err) != 7*time.Second {
			t.Errorf("%d %s: %v: %v, want %v, %s", tc.status, tc.body, credential.KindOf(err), err, tc.kind, tc.code)
		}
	}
}

func TestWantsWait(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		after  string
		want   bool
	}{
		"429": {429, "", true}, "503 that says": {503, "5", true}, "503 that does not": {503, "", false}, "401 that says": {401, "5", false},
	} {
		a := answer(tc.status, "")
		a.Header.Set("Retry-After", tc.after)
		if a.WantsWait() != tc.want {
			t.Errorf("%s: %v", name, !tc.want)
		}
	}
}

func TestMintedToken(t *testing.T) {
	t.Parallel()
	for body, code := range map[string]string{
		`{"access_token":"abc"}`:                        "",
		`{"access_token":"abc","token_type":"BeArEr"}`:  "",
		`{"access_token":"abc","token_type":"mac"}`:     "bad_token",
		`{"access_token":"a\nc","token_type":"bearer"}`: "bad_token",
		`{"access_token":""}`:                           "bad_token",
		`{"access_token":7}`:                            "unreadable",
		`{}`:                                            "unreadable",
	} {
		o, token, err := refreshers.MintedToken("acme", answer(200, body))
		if code == "" {
			if err != nil || token != "abc" || o == nil {
				t.Errorf("%s: %v", body, err)
			}
			continue
		}
		if credential.KindOf(err) != credential.KindTransient || credential.CodeOf(err) != code || token != "" {
			t.Errorf("%s: %v, want %s", body, err, code)
		}
	}
	if _, _, err := refreshers.MintedToken("acme", answer(500, `{"access_token":"abc"}`)); credential.CodeOf(err) != "http_500" {
		t.Errorf("a token with 500: %v", err)
	}
}

func TestWrongFields(t *testing.T) {
	t.Parallel()
	err := refreshers.WrongFields("acme", "bad", "is wrong", "one", "two")
	if want := `acme: bad: fields "one", "two": is wrong`; err.Error() != want || credential.KindOf(err) != credential.KindMisconfigured {
		t.Errorf("%v: %v, want %s", credential.KindOf(err), err, want)
	}
	if want, err := `acme: bad: field "one": is wrong`, refreshers.WrongFields("acme", "bad", "is wrong", "one"); err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	form := url.Values{"b": {"two words"}, "a": {"%2b|"}}
	req, err := refreshers.PostForm(t.Context(), "acme", "https://acme.example/token/", form)
	if err != nil {
		t.Fatal(err)
	}
	if req.GetBody != nil {
		t.Error("the body can be replayed")
	}
	if want := "a=%252b%7C&b=two+words"; req.ContentLength != int64(len(want)) {
		t.Errorf("the length is %d, want that of %s", req.ContentLength, want)
	}
	if req.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || req.Header.Get("Accept") != "application/json" {
		t.Errorf("headers are %v", req.Header)
	}
	const bad = "https://acme.example/%zz?apikey=very-secret-key"
	_, getErr := refreshers.Get(t.Context(), "acme", bad)
	_, postErr := refreshers.PostForm(t.Context(), "acme", bad, form)
	for _, err := range []error{getErr, postErr} {
		if credential.KindOf(err) != credential.KindMisconfigured || !strings.Contains(err.Error(), `"base_url"`) {
			t.Errorf("a URL that is none: %v", err)
		}
		refresherstest.CheckError(t, err, "very-secret-key")
	}
}

// failing is a Doer that fails.
type failing struct{ err error }

func (f failing) Do(context.Context, *http.Request) (refreshers.Answer, error) {
	return refreshers.Answer{Status: 200}, f.err
}

func TestSend(t *testing.T) {
	t.Parallel()
	plain := &credential.Error{Kind: credential.KindRateLimited, Code: "budget", RetryAfter: time.Minute, Err: errors.New("none left")}
	named := &credential.Error{Kind: credential.KindTransient, Provider: "other", Code: "x"}
	for name, tc := range map[string]struct {
		err      error
		kind     credential.Kind
		code     string
		provider string
		is       error
	}{
		"named after the credential": {plain, credential.KindRateLimited, "budget", "acme", plain.Err},
		"wrapped":                    {fmt.Errorf("wrapped: %w", plain), credential.KindRateLimited, "budget", "acme", plain.Err},
		"named already":              {named, credential.KindTransient, "x", "other", named},
		"of another type":            {&url.Error{Op: "Get", URL: "https://x/?k=very-secret-key", Err: errors.New("very-secret-key")}, credential.KindAmbiguous, "send_failed", "acme", nil},
		"the deadline":               {&url.Error{Op: "Get", URL: "https://x/?k=very-secret-key", Err: context.DeadlineExceeded}, credential.KindAmbiguous, "send_failed", "acme", context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := refreshers.Call{Credential: credential.Credential{Provider: "acme"}, HTTP: failing{tc.err}}
			a, err := call.Send(t.Context(), nil)
			e, ok := errors.AsType[*credential.Error](err)
			if !ok || e.Kind != tc.kind || e.Code != tc.code || e.Provider != tc.provider || e.RetryAfter != credential.RetryAfterOf(tc.err) || a.Status != 0 {
				t.Errorf("%+v", err)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Error("the cause is lost")
			}
			refresherstest.CheckError(t, err, "very-secret-key")
		})
	}
	if plain.Provider != "" {
		t.Error("the Doer's own error was changed")
	}
}

func TestFieldChecks(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		check  func(string) error
		accept []string
		refuse []string
	}{
		"key":      {refreshers.CheckKey, []string{"a|%2b", "a b", "a:b"}, []string{" a", "a ", "a\n", "a\x00b", "a\u0085b"}},
		"password": {refreshers.CheckPassword, []string{" pass word ", "é"}, []string{"a\nb", "\t"}},
		"user":     {refreshers.CheckUser, []string{"usager@example.fr"}, []string{"a:b", " a"}},
		"one of":   {refreshers.CheckOneOf("live", "staging"), []string{"live", "staging"}, []string{"Live", "", "livestaging"}},
		"time":     {refreshers.CheckTime, []string{"2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+01:00"}, []string{"2025-12-24", "yesterday"}},
	} {
		for _, v := range tc.accept {
			if err := tc.check(v); err != nil {
				t.Errorf("%s: %q: %v", name, v, err)
			}
		}
		for _, v := range tc.refuse {
			if err := tc.check(v); err == nil {
				t.Errorf("%s: %q is accepted", name, v)
			} else if len(v) > 6 && strings.Contains(err.Error(), v) {
				t.Errorf("%s: the error repeats the value", name)
			}
		}
	}
}
