package refresherstest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// Start is when every scripted request is said to have been started. It lies in
// the past, so that a method that looks at the clock in judging an answer fails.
func Start() time.Time { return time.Date(2021, time.March, 4, 5, 6, 7, 0, time.UTC) }

// JSON returns an answer in JSON, started at Start.
func JSON(status int, body string) refreshers.Answer {
	return refreshers.Answer{
		StartedAt: Start(),
		Status:    status,
		Header:    http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		Body:      []byte(body),
	}
}

// Fixture returns an answer in JSON whose body is a file.
func Fixture(t testing.TB, status int, path string) refreshers.Answer {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return JSON(status, string(body))
}

// With returns the answer with one more header.
func With(a refreshers.Answer, name, value string) refreshers.Answer {
	a.Header = a.Header.Clone()
	a.Header.Add(name, value)
	return a
}

// Reveal returns a map with its secrets in the clear, as a reader of a published
// token uses it.
func Reveal(secrets map[string]credential.Secret) map[string]string {
	plain := make(map[string]string, len(secrets))
	for name, secret := range secrets {
		plain[name] = secret.Reveal()
	}
	return plain
}

// Resolve returns a credential as the protocol hands it to a method: checked and
// completed, but at any base_url.
func Resolve(t testing.TB, methods []refreshers.Method, c credential.Credential) (refreshers.Method, credential.Credential) {
	t.Helper()
	m, c, err := refreshers.NewRegistry(methods).Resolve(c, anyURL)
	if err != nil {
		t.Fatalf("the credential is not valid: %v", err)
	}
	return m, c
}

// Step is what a Script does with one request: an answer, or an error if it is not nil.
type Step struct {
	Answer refreshers.Answer
	Err    error
}

// Answers returns steps that answer.
func Answers(answers ...refreshers.Answer) []Step {
	steps := make([]Step, len(answers))
	for i, a := range answers {
		steps[i] = Step{Answer: a}
	}
	return steps
}

// Request is what a Script was asked, read completely.
type Request struct {
	Method string
	URL    string
	Header http.Header
	Body   string
	// Replayable means that net/http could send the body a second time by itself.
	Replayable bool
}

// Script is a refreshers.Doer that goes through its steps, one a request, and
// repeats the last one when it has come to the end. It may be used by several
// goroutines, though each test is better off with its own.
type Script struct {
	mu       sync.Mutex
	steps    []Step
	requests []Request
}

// NewScript returns a Script; it needs at least one step.
func NewScript(steps ...Step) *Script {
	if len(steps) == 0 {
		panic("refresherstest: a script without steps")
	}
	return &Script{steps: steps}
}

// Do implements refreshers.Doer. A context that is done is an error before any
// step is: as of a connection that was never made.
func (s *Script) Do(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
	seen := Request{Method: req.Method, URL: req.URL.String(), Header: req.Header.Clone()}
	if req.Body != nil && req.Body != http.NoBody {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return refreshers.Answer{}, err
		}
		seen.Body, seen.Replayable = string(body), req.GetBody != nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	step := s.steps[min(len(s.requests), len(s.steps)-1)]
	s.requests = append(s.requests, seen)
	if err := errors.Join(ctx.Err(), req.Context().Err()); err != nil {
		return refreshers.Answer{}, &credential.Error{Kind: credential.KindTransient, Code: credential.CodeNotConnected, Err: err}
	}
	return step.Answer, step.Err
}

// Requests returns what the script was asked so far.
func (s *Script) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}
