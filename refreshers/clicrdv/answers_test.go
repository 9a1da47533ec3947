package clicrdv

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	before := refresherstest.Start().Add(-time.Hour).Format(http.TimeFormat)
	after := refresherstest.Start().Add(time.Hour).Format(http.TimeFormat)
	for name, tc := range map[string]struct {
		set   []string
		want  string
		state cookieState
	}{
		"the document's":  {[]string{"_session_id=4e8c5362ed2abeddca00000c; path=/; HttpOnly"}, "_session_id=4e8c5362ed2abeddca00000c", cookieIssued},
		"none":            {nil, "", cookieUntouched},
		"another":         {[]string{"lang=fr"}, "", cookieUntouched},
		"another case":    {[]string{"_SESSION_ID=x"}, "", cookieUntouched},
		"the last counts": {[]string{"_session_id=one", "lang=fr", "_session_id=two"}, "_session_id=two", cookieIssued},
		"empty":           {[]string{"_session_id=; path=/"}, "", cookieDeleted},
		"no age":          {[]string{"_session_id=x; Max-Age=0"}, "", cookieDeleted},
		"expired":         {[]string{"_session_id=x; Expires=" + before}, "", cookieDeleted},
		"to expire":       {[]string{"_session_id=x; Expires=" + after}, "_session_id=x", cookieIssued},
		"issued, deleted": {[]string{"_session_id=one", "_session_id=; Max-Age=0"}, "", cookieDeleted},
		"quoted":          {[]string{`_session_id="x"`}, `_session_id="x"`, cookieIssued},
		"no cookie":       {[]string{"\x00", "=;;", "_session_id"}, "", cookieUntouched},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := refresherstest.JSON(200, "{}")
			a.Header["Set-Cookie"] = tc.set
			got, state := sessionCookie(a)
			if got != tc.want || state != tc.state {
				t.Errorf("got %q (%d), want %q (%d)", got, state, tc.want, tc.state)
			}
		})
	}
}

func TestBasic(t *testing.T) {
	t.Parallel()
	c := with(stored(), "user_type", "")
	groups, nobody := groupsAnswer(t), nobodyAnswer()
	for name, tc := range map[string]struct {
		current credential.Token
		answers []refreshers.Answer
		way     string
		kind    credential.Kind
		code    string
	}{
		"first":               {credential.Token{}, []refreshers.Answer{groups, nobody}, "touch anonymous", 0, ""},
		"later":               {credential.Token{Generation: 1}, []refreshers.Answer{groups}, "touch", 0, ""},
		"proves nothing":      {credential.Token{}, []refreshers.Answer{groups, groups}, "touch anonymous", credential.KindMisconfigured, "probe_indistinct"},
		"401":                 {credential.Token{Generation: 1}, []refreshers.Answer{nobody}, "touch", credential.KindRejected, "http_401"},
		"anonymous 200":       {credential.Token{Generation: 1}, []refreshers.Answer{refresherstest.JSON(200, `{"groups":[]}`)}, "touch", credential.KindRejected, "not_logged_in"},
		"records are no list": {credential.Token{Generation: 1}, []refreshers.Answer{refresherstest.JSON(200, `{"records":{}}`)}, "touch", credential.KindRejected, "not_logged_in"},
		"records and error":   {credential.Token{Generation: 1}, []refreshers.Answer{refresherstest.JSON(200, `{"records":[],"error":"no"}`)}, "touch", credential.KindRejected, "not_logged_in"},
		"HTML":                {credential.Token{Generation: 1}, []refreshers.Answer{refresherstest.JSON(200, `<html>`)}, "touch", credential.KindTransient, "unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := refresherstest.NewScript(refresherstest.Answers(tc.answers...)...)
			r, err := Methods(settings())[1].Refresher.Renew(t.Context(), refreshers.Call{Credential: c, Current: tc.current, HTTP: script})
			if got := way(script.Requests()); got != tc.way {
				t.Errorf("went %q, want %q", got, tc.way)
			}
			if tc.code == "" {
				// base64 of the e-mail address, a colon and the password, made with coreutils.
				const want = "Basic dXNhZ2VyQGV4YW1wbGUuZnI6c2VjcmV0LXBhc3N3b3JkOsOpKyUyYg=="
				if err != nil || r.Headers["Authorization"] != want || r.Query["apikey"] != apiKey || script.Requests()[0].Header.Get("Authorization") != want {
					t.Errorf("not verified, or not published: %v", err)
				}
				return
			}
			if credential.KindOf(err) != tc.kind || credential.CodeOf(err) != tc.code {
				t.Errorf("%v: %v; want %v, %s", credential.KindOf(err), err, tc.kind, tc.code)
			}
		})
	}
}

func FuzzLogin(f *testing.F) {
	f.Add(200, `{"pro":{"id":9},"error":null}`, "_session_id=4e8c5362ed2abeddca00000c; path=/; HttpOnly")
	f.Add(200, `{"account":{"id":9}}`, "_session_id=x; Max-Age=-1")
	f.Add(401, `{"error":"no"}`, "")
	c := stored()
	f.Fuzz(func(t *testing.T, status int, body, setCookie string) {
		a := refresherstest.With(refresherstest.JSON(status, body), "Set-Cookie", setCookie)
		cookie, err := judgeLogin(c, a)
		if (err == nil) != strings.HasPrefix(cookie, cookieName+"=") || strings.ContainsAny(cookie, "\r\n;") {
			t.Errorf("cookie %q with error %v", cookie, err)
		}
		if err == nil && status != 200 {
			t.Errorf("%d is taken for success", status)
		}
		if err != nil && credential.KindOf(err) == credential.KindAmbiguous {
			t.Error("a login is never ambiguous")
		}
		if standingOf(c, a) == loggedIn && (status != 200 || !strings.Contains(body, "rec") && !strings.Contains(body, `\u`)) {
			t.Error("an answer without records is taken for a user's")
		}
	})
}
