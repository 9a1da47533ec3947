package refreshers_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

var started = time.Date(2021, time.March, 4, 5, 6, 7, 0, time.UTC)

func answer(status int, body string) refreshers.Answer {
	return refreshers.Answer{StartedAt: started, Status: status, Header: http.Header{}, Body: []byte(body)}
}

func TestObject(t *testing.T) {
	t.Parallel()
	large := `{"a":"` + strings.Repeat("x", refreshers.MaxParse-8) + `"}`
	for name, tc := range map[string]struct {
		body      string
		truncated bool
		want      bool
	}{
		"an object":         {`{"a":1}`, false, true},
		"an empty one":      {` {} ` + "\n", false, true},
		"with a mark":       {"\xef\xbb\xbf{}", false, true},
		"as large as may":   {large, false, true},
		"larger":            {large + " ", false, false},
		"whole, broken off": {`{"a":1}`, true, true},
		"cut":               {`{"a":`, false, false},
		"empty":             {``, false, false},
		"null":              {`null`, false, false},
		"a list":            {`[{}]`, false, false},
		"HTML":              {`<html>`, false, false},
		"two objects":       {`{}{}`, false, false},
		"something behind":  {`{} x`, false, false},
		"not JSON's quotes": {`{'a':1}`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := answer(200, tc.body)
			a.Truncated = tc.truncated
			o, ok := a.Object()
			if ok != tc.want || (o != nil) != tc.want {
				t.Errorf("readable is %v", ok)
			}
		})
	}
}

func TestFieldsOfAnObject(t *testing.T) {
	t.Parallel()
	o, ok := answer(200, `{"text":"t","empty":"","null":null,"number":1,"list":[1],"object":{"x":"y"},"false":false}`).Object()
	if !ok {
		t.Fatal("not readable")
	}
	for name, want := range map[string]struct{ has, text, list, object bool }{
		"text": {true, true, false, false}, "empty": {true, true, false, false}, "null": {false, false, false, false},
		"number": {true, false, false, false}, "list": {true, false, true, false}, "object": {true, false, false, true},
		"false": {true, false, false, false}, "missing": {false, false, false, false},
	} {
		_, text := o.Text(name)
		_, object := o.Object(name)
		if o.Has(name) != want.has || text != want.text || o.List(name) != want.list || object != want.object {
			t.Errorf("%s: has %v, text %v, list %v, object %v", name, o.Has(name), text, o.List(name), object)
		}
	}
}

func TestHasErrorAndBearer(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`{}`: false, `{"error":null}`: false, `{"error":false}`: false, `{"error":""}`: false, `{"error":0}`: false, `{"error":[]}`: false, `{"error":{}}`: false,
		`{"error":"x"}`: true, `{"error":{"id":1}}`: true, `{"error":true}`: true,
	} {
		if o, _ := answer(200, body).Object(); o.HasError() != want {
			t.Errorf("%s: %v", body, o.HasError())
		}
	}
	for body, want := range map[string]bool{
		`{}`: true, `{"token_type":null}`: true, `{"token_type":"bearer"}`: true, `{"token_type":"BEARER"}`: true,
		`{"token_type":"mac"}`: false, `{"token_type":1}`: false, `{"token_type":""}`: false,
	} {
		if o, _ := answer(200, body).Object(); o.Bearer() != want {
			t.Errorf("%s: %v", body, o.Bearer())
		}
	}
}

func TestOAuthCode(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"error":"invalid_grant"}`:                             "invalid_grant",
		`{"error":" Invalid_Grant "}`:                           "invalid_grant",
		`{"error":{"code":"invalid_grant"}}`:                    "invalid_grant",
		`{"error":{"error":"invalid_client"}}`:                  "invalid_client",
		`{"error":{"code":400,"type":"invalid_scope"}}`:         "invalid_scope",
		`{"error":{"code":"E17","error":"invalid_grant"}}`:      "invalid_grant",
		`{"error":"expired_token"}`:                             "",
		`{"error":"not invalid_grant"}`:                         "",
		`{"error":{"message":"invalid_grant"}}`:                 "",
		`{"error":["invalid_grant"]}`:                           "",
		`{"error":{"error":{"code":"invalid_grant"}}}`:          "",
		`{"error_description":"invalid_grant","error":"other"}`: "",
		`{"Error":"invalid_grant"}`:                             "",
		`{}`:                                                    "",
	} {
		if o, _ := answer(200, body).Object(); o.OAuthCode() != want {
			t.Errorf("%s: %q, want %q", body, o.OAuthCode(), want)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]bool{"abc|%2b~!": true, "": false, "a b": false, "a\r\nb": false, "é": false, "a\x7f": false} {
		if refreshers.Printable(token) != want {
			t.Errorf("%q: %v", token, !want)
		}
	}
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	const limit = time.Hour
	for raw, want := range map[string]struct {
		d   time.Duration
		odd refreshers.Oddity
	}{
		`60`: {time.Minute, ""}, `"60"`: {time.Minute, ""}, `60.5`: {60500 * time.Millisecond, ""}, `3600`: {limit, ""},
		`3601`: {limit, refreshers.OddTooLong}, `1e300`: {limit, refreshers.OddTooLong}, `1e999`: {limit, refreshers.OddTooLong},
		`0`: {0, refreshers.OddNotPositive}, `-1`: {0, refreshers.OddNotPositive}, `-1e999`: {0, refreshers.OddNotPositive}, `1e-300`: {0, refreshers.OddNotPositive},
		`null`: {limit, refreshers.OddMissing}, `""`: {limit, refreshers.OddNumber}, `"x"`: {limit, refreshers.OddNumber}, `"0x10"`: {limit, refreshers.OddNumber},
		`"Inf"`: {limit, refreshers.OddNumber}, `"+5"`: {limit, refreshers.OddNumber}, `true`: {limit, refreshers.OddNumber}, `[60]`: {limit, refreshers.OddNumber},
		`"60\u0000"`: {limit, refreshers.OddNumber}, `"6_0"`: {limit, refreshers.OddNumber},
	} {
		o, ok := answer(200, `{"expires_in":`+raw+`}`).Object()
		if d, odd := o.Lifetime("expires_in", limit); !ok || d != want.d || odd != want.odd {
			t.Errorf("%s: %v (%q), want %v (%q)", raw, d, odd, want.d, want.odd)
		}
	}
	o, _ := answer(200, `{}`).Object()
	if d, odd := o.Lifetime("expires_in", limit); d != limit || odd != refreshers.OddMissing {
		t.Errorf("missing: %v (%q)", d, odd)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"":                                 0,
		"120":                              2 * time.Minute,
		" 120 ":                            2 * time.Minute,
		"0":                                0,
		"-1":                               0,
		"86401":                            24 * time.Hour,
		"99999999999999999999":             24 * time.Hour,
		"-9999999999999999999":             0,
		"1.5":                              0,
		"soon":                             0,
		"Thu, 04 Mar 2021 05:07:07 GMT":    time.Minute,
		"Thursday, 04-Mar-21 05:07:07 GMT": time.Minute, // RFC 850
		"Thu Mar  4 05:07:07 2021":         time.Minute, // asctime
		"Thu, 04 Mar 2021 05:00:00 GMT":    0,
		"Thu, 04 Mar 2031 05:00:00 GMT":    24 * time.Hour,
	} {
		a := answer(503, "")
		a.Header.Set("Retry-After", value)
		if got := a.RetryAfter(); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	if got := (refreshers.Answer{}).RetryAfter(); got != 0 {
		t.Errorf("without headers: %v", got)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, "120", []byte(`{"access_token":"a","expires_in":"3600","error":{"code":"invalid_grant"}}`))
	f.Add(503, "Thu, 04 Mar 2021 05:07:07 GMT", []byte(`<html>`))
	f.Add(429, "99999999999999999999", []byte("\xef\xbb\xbf{}"))
	f.Fuzz(func(t *testing.T, status int, retryAfter string, body []byte) {
		a := refreshers.Answer{StartedAt: started, Status: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: body}
		if wait := a.RetryAfter(); wait < 0 || wait > refreshers.MaxRetryAfter {
			t.Errorf("wait is %v", wait)
		}
		o, ok := a.Object()
		if ok != (o != nil) {
			t.Error("an object without an object")
		}
		if d, odd := o.Lifetime("expires_in", time.Hour); d < 0 || d > time.Hour || (d == 0) != (odd == refreshers.OddNotPositive) {
			t.Errorf("lifetime is %v (%s)", d, odd)
		}
		code := credential.CodeOf(refreshers.Undecided("x", a))
		known := code == refreshers.HTTPCode(status) || code == refreshers.CodeUnreadable || code == refreshers.CodeRedirect || code == o.OAuthCode()
		if number, _ := strconv.Atoi(strings.TrimPrefix(code, "http_")); !known || code == "" || strings.HasPrefix(code, "http_") && number != status && code != "http_unknown" {
			t.Errorf("code is %q for %d", code, status)
		}
	})
}
