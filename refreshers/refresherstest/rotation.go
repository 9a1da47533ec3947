package refresherstest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// testRotation proves what is at stake when a refresh token can be spent once.
func (s Subject) testRotation(t *testing.T) {
	t.Run("one request in every case", s.testOneRequest)
	t.Run("the request depends on the call alone", s.testSameRequest)
	t.Run("the answer is judged without a clock", s.testOldAnswer)
	t.Run("explicit refusals", s.testExplicit)
	t.Run("a token is never thrown away", s.testTokenKept)
}

func (s Subject) testOneRequest(t *testing.T) {
	t.Parallel()
	steps := Answers(s.Success[0])
	for _, b := range badAnswers(s.Success[0]) {
		steps = append(steps, Step{Answer: b.answer})
	}
	steps = append(steps, Step{Err: &credential.Error{Code: credential.CodeNotConnected}})
	for _, step := range steps {
		script := NewScript(step)
		_, _ = s.Method.Refresher.Renew(t.Context(), s.call(t, script)) // what came of it is tested elsewhere
		if n := len(script.Requests()); n != 1 {
			t.Errorf("answered %d: %d requests, want exactly one", step.Answer.Status, n)
		}
	}
}

func (s Subject) testSameRequest(t *testing.T) {
	t.Parallel()
	_, first, _ := s.renew(t, Answers(s.Success...)...)
	_, second, _ := s.renew(t, Answers(s.Success...)...)
	same := maps.EqualFunc(first[0].Header, second[0].Header, slices.Equal)
	if first[0].URL != second[0].URL || first[0].Method != second[0].Method || first[0].Body != second[0].Body || !same {
		t.Error("two requests for the same call differ")
	}
}

func (s Subject) testOldAnswer(t *testing.T) {
	t.Parallel()
	fresh, _, err := s.renew(t, Answers(s.Success...)...)
	if err != nil {
		t.Fatal(err)
	}
	old := s.Success[0]
	old.StartedAt = old.StartedAt.Add(-100 * time.Hour)
	r, _, err := s.renew(t, Answers(old)...)
	if err != nil {
		t.Fatal(err)
	}
	if rendered := s.Method.Render(s.resolved(t), fresh.AccessToken); !maps.Equal(rendered, fresh.Headers) {
		t.Error("Render says otherwise than Renew")
	}
	if got := fresh.ExpiresAt.Sub(r.ExpiresAt); got != 100*time.Hour {
		t.Errorf("an answer from 100 hours before expires %v before", got)
	}
}

// testExplicit gives the two codes that decide in each way that they may come,
// at any status.
func (s Subject) testExplicit(t *testing.T) {
	for code, want := range map[string]credential.Kind{
		refreshers.CodeInvalidGrant:  credential.KindRejected,
		refreshers.CodeInvalidClient: credential.KindMisconfigured,
	} {
		for _, format := range []string{
			`{"error":"%s","error_description":"` + marker + `"}`,
			`{"error":{"code":"%s","message":"` + marker + `"}}`,
			`{"error":{"error":"%s","title":"` + marker + `"}}`,
		} {
			for _, status := range []int{200, 302, 400, 401, 403, 500, 503} {
				body := fmt.Sprintf(format, code)
				t.Run(fmt.Sprintf("%d %s", status, body), func(t *testing.T) {
					t.Parallel()
					_, _, err := s.renew(t, Answers(JSON(status, body))...)
					if got := credential.KindOf(err); err == nil || got != want {
						t.Errorf("kind is %v, want %v", got, want)
					}
					if got := credential.CodeOf(err); got != code {
						t.Errorf("code is %q", got)
					}
				})
			}
		}
	}
}

// testTokenKept gives a new token in answers that are odd in all that is not the
// token.
func (s Subject) testTokenKept(t *testing.T) {
	for _, body := range []string{
		`{"access_token":"access-token-that-is-new"}`,
		`{"access_token":"access-token-that-is-new","refresh_token":null,"expires_in":null,"token_type":null,"error":null}`,
		`{"access_token":"access-token-that-is-new","refresh_token":17,"expires_in":{},"token_type":[]}`,
		`{"access_token":"access-token-that-is-new","refresh_token":"","expires_in":"","token_type":"mac","error":"invalid_grant"}`,
		"\xef\xbb\xbf" + `{"access_token":"access-token-that-is-new","expires_in":-1}`,
	} {
		for _, status := range []int{200, 201} {
			t.Run(fmt.Sprintf("%d %s", status, body), func(t *testing.T) {
				t.Parallel()
				r, _, err := s.renew(t, Answers(JSON(status, body))...)
				if err != nil {
					t.Fatal(err)
				}
				if r.AccessToken != "access-token-that-is-new" || !r.Renewed || r.RefreshToken != "" {
					t.Error("the new token is not what the result holds")
				}
				if len(r.Warnings) == 0 {
					t.Error("nobody is warned")
				}
				s.checkExpiry(t, r)
			})
		}
	}
	t.Run("whole, though the connection broke behind it", func(t *testing.T) {
		t.Parallel()
		broken := s.Success[0]
		broken.Truncated = true
		want, _, err := s.renew(t, Answers(s.Success...)...)
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := s.renew(t, Answers(broken)...)
		if err != nil || r.RefreshToken != want.RefreshToken || r.AccessToken != want.AccessToken {
			t.Errorf("the new pair is thrown away: %v", err)
		}
	})
}
