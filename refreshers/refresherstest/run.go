package refresherstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// Run proves that the method keeps the contract of refreshers.Refresher. Each
// rule is a subtest.
func Run(t *testing.T, s Subject) {
	t.Helper()
	for _, secret := range s.secrets() {
		if len(secret) < 8 {
			t.Fatal("the subject has a secret that is too short to be found again")
		}
	}
	t.Run("description", s.testDescription)
	t.Run("success", s.testSuccess)
	t.Run("lifetimes", s.testLifetimes)
	t.Run("bad answers", s.testBadAnswers)
	t.Run("failures on the way", s.testFailures)
	t.Run("cancelled", s.testCancelled)
	t.Run("at once", s.testAtOnce)
	if s.Method.Upkeep == refreshers.Rotating {
		t.Run("rotation", s.testRotation)
	}
}

// renew calls the method with a script, checks what was asked and what came of
// it for leaks, and returns it.
func (s Subject) renew(t testing.TB, steps ...Step) (refreshers.Result, []Request, error) {
	t.Helper()
	script := NewScript(steps...)
	call := s.call(t, script)
	fields, headers := maps.Clone(call.Credential.Fields), maps.Clone(call.Current.Headers)

	r, err := s.Method.Refresher.Renew(t.Context(), call)

	requests := script.Requests()
	if !maps.Equal(fields, call.Credential.Fields) || !maps.Equal(headers, call.Current.Headers) {
		t.Error("the call was changed")
	}
	s.checkRequests(t, requests)
	hidden := s.hidden(requests)
	if err != nil {
		s.checkError(t, r, err)
		CheckError(t, err, hidden...)
		return r, requests, err
	}
	CheckResult(t, r, hidden...)
	return r, requests, nil
}

// checkError checks what is the same for all errors.
func (s Subject) checkError(t testing.TB, r refreshers.Result, err error) {
	t.Helper()
	e, ok := errors.AsType[*credential.Error](err)
	if !ok {
		t.Fatalf("the error is a %T", err)
	}
	if e.Provider != s.Method.Provider || e.Code == "" || e.Err == nil {
		t.Errorf("the error says too little: provider %q, code %q, cause %v", e.Provider, e.Code, e.Err)
	}
	if !reflect.DeepEqual(r, refreshers.Result{}) {
		t.Error("there is a result beside the error")
	}
}

func (s Subject) testSuccess(t *testing.T) {
	t.Parallel()
	r, requests, err := s.renew(t, Answers(s.Success...)...)
	if err != nil {
		t.Fatal(err)
	}
	if len(requests) != len(s.Success) {
		t.Errorf("sent %d requests, want %d", len(requests), len(s.Success))
	}
	s.checkResult(t, r)
	if len(r.Warnings) > 0 {
		t.Errorf("warnings for an answer as documented: %q", r.Warnings)
	}
}

// checkResult checks what is the same for all results.
func (s Subject) checkResult(t testing.TB, r refreshers.Result) {
	t.Helper()
	if r.Renewed != s.Renewed {
		t.Errorf("Renewed is %v", r.Renewed)
	}
	if got := slices.Sorted(maps.Keys(r.Headers)); !slices.Equal(got, slices.Sorted(slices.Values(s.Headers))) {
		t.Errorf("published headers are %q", got)
	}
	if got := slices.Sorted(maps.Keys(r.Query)); !slices.Equal(got, slices.Sorted(slices.Values(s.Query))) {
		t.Errorf("published query is %q", got)
	}
	for name, value := range r.Headers {
		if value == "" {
			t.Errorf("published header %s is empty", name)
		}
	}
	if s.Method.Upkeep != refreshers.Rotating && r.RefreshToken != "" {
		t.Error("a refresh token from a method that has none")
	}
	s.checkExpiry(t, r)
}

// checkExpiry checks that a token dies after its request was started, and no
// later than documented.
func (s Subject) checkExpiry(t testing.TB, r refreshers.Result) {
	t.Helper()
	if !s.expires() {
		if !r.ExpiresAt.IsZero() {
			t.Errorf("expires at %v, but never should", r.ExpiresAt)
		}
		return
	}
	last := Start()
	for _, a := range s.Success {
		if a.StartedAt.After(last) {
			last = a.StartedAt
		}
	}
	if !r.ExpiresAt.After(Start()) || r.ExpiresAt.After(last.Add(s.MaxLifetime)) {
		t.Errorf("expires at %v, but was asked for at %v and lives %v at most", r.ExpiresAt, last, s.MaxLifetime)
	}
}

func (s Subject) testCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	script := NewScript(Answers(s.Success...)...)
	r, err := s.Method.Refresher.Renew(ctx, s.call(t, script))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the error does not say that the context was cancelled: %v", err)
	}
	s.checkError(t, r, err)
	if got := credential.KindOf(err); got != credential.KindTransient {
		t.Errorf("kind is %v, but nothing was sent", got)
	}
	if n := len(script.Requests()); n != 1 {
		t.Errorf("%d requests after the context was cancelled", n)
	}
}

// testAtOnce lets the race detector look for state that calls share.
func (s Subject) testAtOnce(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			call := s.call(t, NewScript(Answers(s.Success...)...))
			call.Attempt = fmt.Sprintf("attempt-%d", i)
			if _, err := s.Method.Refresher.Renew(t.Context(), call); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
