package refresherstest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// testDescription checks what a method says of itself, and that its fields are
// checked without being shown.
func (s Subject) testDescription(t *testing.T) {
	t.Parallel()
	m := s.Method
	rotating := m.Upkeep == refreshers.Rotating
	switch {
	case m.Provider == "" || m.Auth == "" || m.Refresher == nil || len(m.Hosts) == 0 || m.Interval == nil:
		t.Error("the description is not complete")
	case rotating != (m.GrantLifetime > 0) || rotating != (m.DormantInterval > 0):
		t.Error("GrantLifetime and DormantInterval are for rotating methods, and needed there")
	case rotating != (m.Render != nil):
		t.Error("Render is for rotating methods, and needed there")
	}
	for _, f := range m.Fields {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			s.testField(t, f)
		})
	}
}

func (s Subject) testField(t *testing.T, f refreshers.Field) {
	if f.Doc == "" {
		t.Error("has no Doc")
	}
	telling := []string{"secret", "password", "private_key", "api_key", "refresh_token"}
	if !f.Secret && slices.ContainsFunc(telling, func(word string) bool { return strings.HasSuffix(f.Name, word) }) {
		t.Error("is called like a secret, but is none")
	}
	if f.Required {
		s.misconfigured(t, f.Name, "")
	}
	if f.Check != nil {
		s.misconfigured(t, f.Name, marker+"\x00\r\n"+marker)
	}
}

// misconfigured checks that a value in a field is refused with an error that
// names the field and shows no value.
func (s Subject) misconfigured(t *testing.T, field, value string) {
	t.Helper()
	c := s.Credential
	c.Fields = maps.Clone(s.Credential.Fields)
	c.Fields[field] = credential.Secret(value)
	_, _, err := refreshers.NewRegistry([]refreshers.Method{s.Method}).Resolve(c, anyURL)
	if credential.KindOf(err) != credential.KindMisconfigured || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("%q", field)) {
		t.Errorf("with %q the error is %v", value, err)
		return
	}
	CheckError(t, err, append(s.secrets(), marker)...)
}

// checkRequests checks what is the same for all requests.
func (s Subject) checkRequests(t testing.TB, requests []Request) {
	t.Helper()
	for _, r := range requests {
		u, err := url.Parse(r.URL)
		if err != nil || u.User != nil || u.Fragment != "" || u.Host == "" {
			t.Fatal("a request has a URL of a kind that has no place here")
		}
		query := u.Query()
		for _, name := range s.InURL {
			secret := s.Credential.Field(name)
			for key, values := range query {
				query[key] = slices.DeleteFunc(values, func(v string) bool { return v == secret })
			}
		}
		check(t, "a URL", []string{u.Path, query.Encode()}, s.secrets())
		if r.Header.Get("Idempotency-Key")+r.Header.Get("X-Idempotency-Key") != "" {
			t.Error("a request has an idempotency key, which lets net/http send it twice")
		}
		if r.Replayable {
			t.Error("net/http could send a request's body twice")
		}
		if r.Method != http.MethodGet && r.Body == "" {
			t.Errorf("a %s without a body", r.Method)
		}
	}
}

// testBadAnswers gives every bad answer in the place of every request's.
func (s Subject) testBadAnswers(t *testing.T) {
	for i := range s.Success {
		for _, b := range badAnswers(s.Success[i]) {
			t.Run(fmt.Sprintf("request %d answered %s", i+1, b.name), func(t *testing.T) {
				t.Parallel()
				steps := append(Answers(s.Success[:i]...), Step{Answer: b.answer})
				_, requests, err := s.renew(t, steps...)
				if len(requests) > 3 {
					t.Errorf("sent %d requests", len(requests))
				}
				if err == nil {
					// A later request may be one that only confirms.
					if i == 0 {
						t.Error("taken for success")
					}
					return
				}
				s.checkKind(t, b, err)
			})
		}
	}
}

func (s Subject) checkKind(t *testing.T, b bad, err error) {
	t.Helper()
	allowed := map[class][]credential.Kind{
		throttle: {credential.KindRateLimited},
		outage:   {credential.KindTransient},
		garbage:  {credential.KindTransient},
		redirect: {credential.KindTransient},
		refusal:  {credential.KindTransient, credential.KindRejected, credential.KindMisconfigured},
	}[b.class]
	if s.Method.Upkeep == refreshers.Rotating && b.class != throttle {
		allowed = []credential.Kind{credential.KindAmbiguous}
	}
	if got := credential.KindOf(err); !slices.Contains(allowed, got) {
		t.Errorf("kind is %v, want one of %v", got, allowed)
	}
	if got := credential.RetryAfterOf(err); got != b.wait {
		t.Errorf("asks to wait %v, want %v", got, b.wait)
	}
}

// testFailures lets every request fail on its way.
func (s Subject) testFailures(t *testing.T) {
	told := strings.Join(s.secrets(), " ")
	for _, tc := range []struct {
		name string
		err  error
		kind credential.Kind
		code string
	}{
		{"not connected", &credential.Error{Kind: credential.KindTransient, Code: credential.CodeNotConnected, Err: errors.New("refused")}, credential.KindTransient, credential.CodeNotConnected},
		{"no answer", &credential.Error{Kind: credential.KindAmbiguous, Code: "timeout", Err: errors.New("too late")}, credential.KindAmbiguous, "timeout"},
		{"held back", &credential.Error{Kind: credential.KindRateLimited, Provider: s.Method.Provider, Code: "budget", RetryAfter: time.Minute, Err: errors.New("none left")}, credential.KindRateLimited, "budget"},
		{"an error of another type", &url.Error{Op: "Post", URL: "https://x.example/?k=" + told, Err: errors.New(told)}, credential.KindAmbiguous, "send_failed"},
	} {
		for i := range s.Success {
			t.Run(fmt.Sprintf("request %d: %s", i+1, tc.name), func(t *testing.T) {
				t.Parallel()
				_, requests, err := s.renew(t, append(Answers(s.Success[:i]...), Step{Err: tc.err})...)
				if err == nil && i > 0 {
					return // a request that only confirms
				}
				if got := credential.KindOf(err); err == nil || got != tc.kind {
					t.Errorf("kind is %v, want %v", got, tc.kind)
				}
				if got := credential.CodeOf(err); got != tc.code {
					t.Errorf("code is %q, want %q", got, tc.code)
				}
				if want := credential.RetryAfterOf(tc.err); credential.RetryAfterOf(err) != want {
					t.Errorf("asks to wait %v, want %v", credential.RetryAfterOf(err), want)
				}
				if len(requests) != i+1 {
					t.Errorf("sent %d requests, want none after the one that failed", len(requests))
				}
			})
		}
	}
}
