package ankor

import (
	"fmt"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

func TestExpiry(t *testing.T) {
	t.Parallel()
	start := refresherstest.Start()
	limit := start.Add(time.Hour)
	for _, tc := range []struct {
		body string
		want time.Time
		odd  refreshers.Oddity
	}{
		{`{"expires_in":3000}`, start.Add(3000 * time.Second), ""},
		{`{"expires":3000}`, start.Add(3000 * time.Second), ""},
		{`{"expires_in":null,"expires":3000}`, start.Add(3000 * time.Second), ""},
		{`{"expires_in":1000,"expires":3000}`, start.Add(1000 * time.Second), ""},
		{`{"expires_in":"3000"}`, start.Add(3000 * time.Second), ""},
		{`{"expires_in":86400}`, limit, ""},
		{`{"expires_in":86401}`, limit, refreshers.OddTooLong},
		{`{"expires_in":99999999}`, limit, refreshers.OddTooLong},
		{fmt.Sprintf(`{"expires":%d}`, start.Unix()+600), start.Add(10 * time.Minute), ""},
		{fmt.Sprintf(`{"expires_in":"%d"}`, start.Unix()+600), start.Add(10 * time.Minute), ""},
		{fmt.Sprintf(`{"expires":%d}`, start.Unix()+7200), limit, ""},
		{fmt.Sprintf(`{"expires":%d}`, start.UnixMilli()+600_500), start.Add(600*time.Second + 500*time.Millisecond), ""},
		{fmt.Sprintf(`{"expires":%d}`, start.UnixMilli()+7_200_000), limit, ""},
		{`{"expires":100000000}`, time.Unix(100_000_000, 0), ""},
		{`{"expires":1e300}`, limit, ""},
		{`{"expires":-1}`, start, ""},
		{`{"expires":0}`, start, ""},
		{`{"expires":"soon"}`, limit, refreshers.OddNumber},
		{`{}`, limit, refreshers.OddMissing},
	} {
		o, ok := refresherstest.JSON(200, tc.body).Object()
		if !ok {
			t.Fatalf("%s is no object", tc.body)
		}
		got, odd := expiry(o, start, limit)
		if d := got.Sub(tc.want).Abs(); d > time.Millisecond || odd != tc.odd {
			t.Errorf("%s: %v (%q), want %v (%q)", tc.body, got, odd, tc.want, tc.odd)
		}
	}
}

func TestAssertionBoundsTheToken(t *testing.T) {
	t.Parallel()
	m := jwtBearer{settings: DefaultSettings()}
	a := refresherstest.JSON(200, `{"access_token":"made-up","expires_in":3600}`)
	for ends, want := range map[time.Duration]time.Duration{
		10 * time.Minute: 10 * time.Minute,
		2 * time.Hour:    time.Hour,
	} {
		r, err := m.judge(a, a.StartedAt.Add(ends))
		if err != nil || !r.ExpiresAt.Equal(a.StartedAt.Add(want)) {
			t.Errorf("with an assertion of %v the token lives %v: %v", ends, r.ExpiresAt.Sub(a.StartedAt), err)
		}
	}
	if _, err := m.judge(a, a.StartedAt); credential.CodeOf(err) != refreshers.CodeBadLifetime {
		t.Errorf("a token that outlived its assertion: %v", err)
	}
}

func FuzzJudge(f *testing.F) {
	f.Add(200, `{"access_token":"a","expires_in":3000}`)
	f.Add(200, `{"access_token":"a","expires":1893456000000}`)
	f.Add(200, `{"access_token":"a","expires":"1e999"}`)
	f.Add(400, `{"error":"invalid_grant"}`)
	m := jwtBearer{settings: DefaultSettings()}
	f.Fuzz(func(t *testing.T, status int, body string) {
		a := refresherstest.JSON(status, body)
		r, err := m.judge(a, a.StartedAt.Add(55*time.Minute))
		if err != nil {
			if credential.KindOf(err) == credential.KindAmbiguous {
				t.Error("minting is never ambiguous")
			}
			return
		}
		if lives := r.ExpiresAt.Sub(a.StartedAt); lives <= 0 || lives > 55*time.Minute {
			t.Errorf("lives %v", lives)
		}
		if status/100 != 2 || !refreshers.Printable(r.AccessToken.Reveal()) {
			t.Errorf("%d brought a token, or one that no header can hold", status)
		}
	})
}

func FuzzPrivateKey(f *testing.F) {
	f.Add(pkcs1())
	f.Add("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")
	f.Add(`-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----`)
	f.Fuzz(func(t *testing.T, text string) {
		key, err := parsePrivateKey(text)
		if (key == nil) == (err == nil) {
			t.Errorf("key %v with error %v", key != nil, err)
		}
	})
}
