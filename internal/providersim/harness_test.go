package providersim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"refresher/internal/providersim"
)

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// reply is an answer that was read.
type reply struct {
	status int
	header http.Header
	body   string
	doc    map[string]any
}

func (r reply) text(field string) string {
	s, _ := r.doc[field].(string)
	return s
}

func (r reply) number(field string) float64 {
	n, _ := r.doc[field].(float64)
	return n
}

type option func(*http.Request)

func withHeader(name, value string) option {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func withBasic(user, password string) option {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func withBearer(token string) option { return withHeader("Authorization", "Bearer "+token) }

func withCookie(session string) option { return withHeader("Cookie", "_session_id="+session) }

func newRequest(method, target string, form url.Values, options ...option) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, o := range options {
		o(r)
	}
	return r
}

func call(h http.Handler, method, target string, form url.Values, options ...option) reply {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, newRequest(method, target, form, options...))
	out := reply{status: w.Code, header: w.Header(), body: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &out.doc)
	return out
}

func get(h http.Handler, target string, options ...option) reply {
	return call(h, http.MethodGet, target, nil, options...)
}

func form(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values
}

func wantStatus(t *testing.T, got reply, status int) {
	t.Helper()
	if got.status != status {
		t.Fatalf("status %d, want %d; body %s", got.status, status, got.body)
	}
}

func wantLast(t *testing.T, s *providersim.Simulator, kind, result string) providersim.Event {
	t.Helper()
	events := s.Ledger().Events()
	if len(events) == 0 {
		t.Fatalf("the ledger is empty, want %s/%s", kind, result)
	}
	last := events[len(events)-1]
	if last.Kind != kind || last.Result != result {
		t.Fatalf("last event is %s/%s, want %s/%s", last.Kind, last.Result, kind, result)
	}
	return last
}
