package clicrdv

import (
	"net/http"
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/refreshers/refresherstest"
)

// FuzzTouch judges answers to a touch with up to two cookies. A session lives on
// with a cookie that a header can hold, or the touch proves nothing.
func FuzzTouch(f *testing.F) {
	const old = cookieName + "=sim-old"
	f.Add(200, `{"records":[]}`, "", "")
	f.Add(200, `{"records":[]}`, old, "")
	f.Add(200, `{"records":[]}`, cookieName+"=sim-new; path=/; HttpOnly", "theme=dark")
	f.Add(200, `{"records":[]}`, cookieName+"=sim-new", cookieName+"=; Max-Age=0")
	f.Add(200, `{"records":[]}`, cookieName+"=sim-new; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "")
	f.Add(200, `{"records":[]}`, cookieName+`="sim quoted"`, "")
	f.Add(200, `{"records":[],"error":"no"}`, "", "")
	f.Add(401, ``, cookieName+"=sim-new", "")
	m := session{settings: Settings{IdleWindow: 1, Now: nil}}
	c := stored()
	f.Fuzz(func(t *testing.T, status int, body, first, second string) {
		a := refresherstest.JSON(status, body)
		a.Header = http.Header{"Set-Cookie": {first, second}}
		r, ok := m.touched(c, a, old)
		if !ok {
			if r.Renewed || len(r.Headers) > 0 {
				t.Errorf("nothing is proven, and yet %+v", r)
			}
			return
		}
		cookie, whole := publishedCookie(r.Headers)
		if status != http.StatusOK || !whole || strings.ContainsAny(cookie, "\r\n;") {
			t.Errorf("%d keeps a session alive with %q", status, cookie)
		}
		if r.Renewed != (cookie != old) {
			t.Errorf("%q is called new: %t", cookie, r.Renewed)
		}
		if !r.ExpiresAt.Equal(a.StartedAt.Add(m.settings.IdleWindow)) || r.Query["apikey"] != c.Fields["api_key"] {
			t.Errorf("published are %s and %d parameters", r.ExpiresAt, len(r.Query))
		}
	})
}

// FuzzBasic judges the refusals of e-mail and password: only an answer that can be
// read is one, and nothing of it gets into the error.
func FuzzBasic(f *testing.F) {
	f.Add(401, "")
	f.Add(200, `{"error":"sim-told"}`)
	f.Add(200, `{"records":null}`)
	f.Add(500, `{"error":"sim-told"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		a := refresherstest.JSON(status, body)
		if standingOf(stored(), a) != anonymous {
			return
		}
		err := refusedBasic(a)
		if credential.KindOf(err) != credential.KindRejected || status != 200 && status != 401 && status != 403 {
			t.Errorf("%d: %v", status, err)
		}
		if len(body) >= 24 && strings.Contains(err.Error(), body) {
			t.Errorf("the error shows the answer: %v", err)
		}
	})
}
