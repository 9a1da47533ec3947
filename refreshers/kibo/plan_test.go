package kibo

import (
	"net/http"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

func TestParsePlan(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		header http.Header
		want   Plan
	}{
		"the document's": {
			http.Header{
				"X-Plan-Qps-Allotted": {"20"}, "X-Plan-Qps-Current": {"1"}, "X-Plan-Quota-Allotted": {"5000"}, "X-Plan-Quota-Current": {"2"},
				"X-Plan-Quota-Reset": {"Friday, January 29, 2016 7:00:00 PM GMT"},
			},
			Plan{20, 1, 5000, 2, time.Date(2016, time.January, 29, 19, 0, 0, 0, time.UTC)},
		},
		"none":         {http.Header{}, Plan{-1, -1, -1, -1, time.Time{}}},
		"no numbers":   {http.Header{"X-Plan-Qps-Allotted": {"many"}, "X-Plan-Quota-Current": {"-3"}}, Plan{-1, -1, -1, -1, time.Time{}}},
		"UTC":          {http.Header{"X-Plan-Quota-Reset": {" Friday, January 29, 2016 7:05:09 AM UTC "}}, Plan{-1, -1, -1, -1, time.Date(2016, time.January, 29, 7, 5, 9, 0, time.UTC)}},
		"another zone": {http.Header{"X-Plan-Quota-Reset": {"Friday, January 29, 2016 7:00:00 PM PST"}}, Plan{-1, -1, -1, -1, time.Time{}}},
		"HTTP date":    {http.Header{"X-Plan-Quota-Reset": {"Fri, 29 Jan 2016 19:00:00 GMT"}}, Plan{-1, -1, -1, -1, time.Time{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := ParsePlan(tc.header); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestOverQuota(t *testing.T) {
	t.Parallel()
	reset := refresherstest.Start().Add(40 * time.Minute).Format(resetLayout)
	for name, tc := range map[string]struct {
		status  int
		headers map[string]string
		want    time.Duration
	}{
		"quota used up":         {429, map[string]string{"X-Plan-Quota-Allotted": "5000", "X-Plan-Quota-Current": "5000", "X-Plan-Quota-Reset": reset}, 40 * time.Minute},
		"quota used up, by 403": {403, map[string]string{"X-Mashery-Error-Code": "ERR_403_DEVELOPER_OVER_RATE", "X-Plan-Quota-Allotted": "10", "X-Plan-Quota-Current": "11", "X-Plan-Quota-Reset": reset}, 40 * time.Minute},
		"quota left":            {429, map[string]string{"X-Plan-Quota-Allotted": "5000", "X-Plan-Quota-Current": "17", "X-Plan-Quota-Reset": reset}, 0},
		"no reset":              {429, map[string]string{"X-Plan-Quota-Allotted": "5000", "X-Plan-Quota-Current": "5000"}, 0},
		"Retry-After wins":      {429, map[string]string{"Retry-After": "7", "X-Plan-Quota-Allotted": "1", "X-Plan-Quota-Current": "1", "X-Plan-Quota-Reset": reset}, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := refresherstest.JSON(tc.status, "")
			for name, value := range tc.headers {
				a = refresherstest.With(a, name, value)
			}
			_, _, err := mint(t, stored(), refresherstest.Answers(a)...)
			if credential.KindOf(err) != credential.KindRateLimited || credential.RetryAfterOf(err) != tc.want {
				t.Errorf("%v, to wait %v, want %v", credential.KindOf(err), credential.RetryAfterOf(err), tc.want)
			}
		})
	}
}

func FuzzJudge(f *testing.F) {
	f.Add(200, `{"scope":"","access_token":"a","token_type":"bearer","expires_in":3600}`, "", "")
	f.Add(401, `{"error":"invalid_client"}`, "", "")
	f.Add(403, ``, "ERR_403_DEVELOPER_OVER_QPS", "Friday, January 29, 2016 7:00:00 PM GMT")
	m := clientCredentials{settings: DefaultSettings()}
	f.Fuzz(func(t *testing.T, status int, body, mashery, reset string) {
		a := refresherstest.With(refresherstest.JSON(status, body), "X-Mashery-Error-Code", mashery)
		a = refresherstest.With(refresherstest.With(a, "X-Plan-Quota-Reset", reset), "X-Plan-Quota-Allotted", "1")
		a = refresherstest.With(a, "X-Plan-Quota-Current", "1")
		r, err := m.judge(a)
		if err != nil {
			wait := credential.RetryAfterOf(err)
			if credential.KindOf(err) == credential.KindAmbiguous || wait < 0 || wait > refreshers.MaxRetryAfter {
				t.Errorf("%v, to wait %v", err, wait)
			}
			return
		}
		if lives := r.ExpiresAt.Sub(a.StartedAt); status/100 != 2 || lives <= 0 || lives > time.Hour {
			t.Errorf("%d brought a token that lives %v", status, lives)
		}
	})
}
