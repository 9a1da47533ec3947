package egress_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/egress"
	"refresher/refreshers"
)

func TestDoReturnsTheAnswer(t *testing.T) {
	t.Parallel()
	var got http.Request
	var body []byte
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = *r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Set-Cookie", "_session_id=1")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "s3cret-answer")
	})
	before := time.Now()
	req := post(t, server.URL)
	req.Header.Set("Expect", "100-continue")
	answer, err := newClient(t).Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != http.StatusTeapot || string(answer.Body) != "s3cret-answer" || answer.Truncated || answer.Header.Get("Set-Cookie") == "" {
		t.Errorf("answer is %+v", answer)
	}
	if answer.StartedAt.Before(before) || answer.StartedAt.After(time.Now()) {
		t.Errorf("started at %v", answer.StartedAt)
	}
	if got.Proto != "HTTP/1.1" || got.RequestURI != "/s3cret-path?apikey=s3cret-query" || string(body) != "refresh_token=s3cret-body" {
		t.Errorf("server saw %s %s with body %q", got.Proto, got.RequestURI, body)
	}
	if got.UserAgent() != egress.DefaultUserAgent || got.Header.Get("Expect") != "" || got.Header.Get("Accept-Encoding") != "" {
		t.Errorf("server saw headers %v", got.Header)
	}
	if req.Header.Get("User-Agent") != "" || req.Header.Get("Expect") == "" {
		t.Errorf("the caller's request was changed: %v", req.Header)
	}
}

func TestRedirectsAreAnswers(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		server, requests := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", status) })
		client := newClient(t)
		for name, doer := range map[string]refreshers.Doer{"Do": client, "Once": client.Once(egress.OnceOptions{})} {
			requests.Store(0)
			answer, err := doer.Do(t.Context(), post(t, server.URL))
			if err != nil || answer.Status != status || answer.Header.Get("Location") != "/elsewhere" || requests.Load() != 1 {
				t.Errorf("%s: answer is %+v (%v) after %d requests, want the %d itself", name, answer, err, requests.Load(), status)
			}
		}
	}
}

func TestBodyIsCapped(t *testing.T) {
	t.Parallel()
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.Header.Get("Size"))
		_, _ = w.Write(bytes.Repeat([]byte("x"), size))
	})
	for _, limit := range []int{1000, egress.DefaultMaxBody} {
		client := newClient(t, func(s *egress.Settings) {
			if limit != egress.DefaultMaxBody {
				s.MaxBody = int64(limit)
			}
		})
		for name, newDoer := range bothWays(client) {
			for _, size := range []int{0, limit, limit + 1, 2 * limit} {
				req := post(t, server.URL)
				req.Header.Set("Size", strconv.Itoa(size))
				answer, err := newDoer().Do(t.Context(), req)
				if err != nil || len(answer.Body) != min(size, limit) || answer.Truncated != (size > limit) {
					t.Errorf("%s: %d bytes arrive as %d, truncated %v (%v)", name, size, len(answer.Body), answer.Truncated, err)
				}
			}
		}
	}
}

// bothWays returns the two kinds of Doer, where they must not differ.
func bothWays(client *egress.Client) map[string]func() refreshers.Doer {
	return map[string]func() refreshers.Doer{
		"Do":   func() refreshers.Doer { return client },
		"Once": func() refreshers.Doer { return client.Once(egress.OnceOptions{}) },
	}
}

// TestUnusableAnswers has servers that read a whole request and then do not
// answer it. Each must see one request only, and its sender must not know better
// than that it was sent.
func TestUnusableAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ reply, code, cause string }{
		"nothing":         {"", egress.CodeNoAnswer, "sent, and the connection was closed"},
		"half a head":     {"HTTP/1.1 200 OK\r\nX-Token: s3cret-ans", egress.CodeCut, "sent, and the answer broke off"},
		"no HTTP":         {"s3cret-answer\r\n\r\n", egress.CodeNoAnswer, "sent, and no answer that is HTTP"},
		"a broken header": {"HTTP/1.1 200 OK\r\ns3cret-answer\r\n\r\n", egress.CodeNoAnswer, "sent, and no answer that is HTTP"},
		"an endless head": {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("s3cret-answer", 10_000), egress.CodeNoAnswer, ""},
		"interim answers": {strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 10_000), egress.CodeNoAnswer, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			addr := serveRaw(t, func(conn net.Conn, _ int) {
				if readRequest(bufio.NewReader(conn)) == nil {
					requests.Add(1)
					_, _ = io.WriteString(conn, tt.reply)
				}
			})
			client := newClient(t)
			for way, newDoer := range bothWays(client) {
				requests.Store(0)
				_, err := newDoer().Do(t.Context(), post(t, "http://"+addr))
				wantError(t, err, credential.KindAmbiguous, tt.code, tt.cause)
				if requests.Load() != 1 {
					t.Errorf("%s: server saw %d requests", way, requests.Load())
				}
			}
		})
	}
}

func TestResetAfterTheRequest(t *testing.T) {
	t.Parallel()
	addr := serveRaw(t, func(conn net.Conn, _ int) {
		_ = readRequest(bufio.NewReader(conn))
		_ = conn.(*net.TCPConn).SetLinger(0)
	})
	for _, newDoer := range bothWays(newClient(t)) {
		_, err := newDoer().Do(t.Context(), post(t, "http://"+addr))
		wantError(t, err, credential.KindAmbiguous, egress.CodeCut, "sent, and no answer: read tcp")
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v is no ECONNRESET", err)
		}
	}
}

func TestBodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	addr := serveRaw(t, func(conn net.Conn, _ int) {
		_ = readRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	})
	for name, newDoer := range bothWays(newClient(t)) {
		answer, err := newDoer().Do(t.Context(), post(t, "http://"+addr))
		if err != nil || answer.Status != http.StatusOK || string(answer.Body) != "half" || !answer.Truncated {
			t.Errorf("%s: answer is %+v (%v), want what there was of it", name, answer, err)
		}
	}
}

func TestInterimAnswersArePassed(t *testing.T) {
	t.Parallel()
	addr := serveRaw(t, func(conn net.Conn, _ int) {
		_ = readRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	for name, newDoer := range bothWays(newClient(t)) {
		answer, err := newDoer().Do(t.Context(), post(t, "http://"+addr))
		if err != nil || answer.Status != http.StatusOK || string(answer.Body) != "ok" || answer.Header.Get("Link") != "" {
			t.Errorf("%s: answer is %+v (%v)", name, answer, err)
		}
	}
}

// TestPooledPostIsNotRepeated has a server that takes a second request on a kept
// connection and closes it: the one case in which net/http repeats what it thinks it may.
func TestPooledPostIsNotRepeated(t *testing.T) {
	t.Parallel()
	var requests, connections atomic.Int32
	addr := serveRaw(t, func(conn net.Conn, _ int) {
		connections.Add(1)
		br := bufio.NewReader(conn)
		for i := 0; readRequest(br) == nil; i++ {
			if requests.Add(1); i > 0 {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	client := newClient(t)
	if _, err := client.Do(t.Context(), post(t, "http://"+addr)); err != nil {
		t.Fatal(err)
	}
	req := post(t, "http://"+addr)
	if req.GetBody == nil {
		t.Fatal("the request cannot be repeated to begin with")
	}
	_, err := client.Do(t.Context(), req)
	wantError(t, err, credential.KindAmbiguous, egress.CodeNoAnswer, "sent, and ")
	if requests.Load() != 2 || connections.Load() != 1 {
		t.Errorf("server saw %d requests on %d connections, want the second call's once, on the first's connection", requests.Load(), connections.Load())
	}
}

func TestDoTimesOut(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server, requests := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			<-release
		}
	})
	t.Cleanup(func() { close(release) })
	client := newClient(t, func(s *egress.Settings) { s.CallTimeout = time.Second })
	if _, err := client.Do(t.Context(), get(t, server.URL)); err != nil { // connects, so that the limit is spent on waiting alone
		t.Fatal(err)
	}
	began := time.Now()
	_, err := client.Do(t.Context(), post(t, server.URL))
	wantError(t, err, credential.KindAmbiguous, egress.CodeTimeout, "sent, and no answer within")
	if took := time.Since(began); requests.Load() != 2 || took > 9*time.Second {
		t.Errorf("server saw %d requests; gave up after %v", requests.Load(), took)
	}
}

func TestDoIsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	release := make(chan struct{})
	server, _ := serve(t, func(http.ResponseWriter, *http.Request) {
		cancel(errors.New("s3cret-query in the cause"))
		<-release
	})
	t.Cleanup(func() { close(release) })
	client := newClient(t)
	_, err := client.Do(ctx, post(t, server.URL))
	wantError(t, err, credential.KindAmbiguous, egress.CodeNoAnswer, "sent, and given up")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is no context.Canceled", err)
	}
	_, err = client.Do(ctx, post(t, server.URL))
	wantError(t, err, credential.KindTransient, credential.CodeNotConnected, "canceled: ")
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	client := newClient(t)
	tests := map[string]struct {
		change func(*http.Request)
		cause  string
	}{
		"no URL":           {func(r *http.Request) { r.URL = nil }, "request: no URL"},
		"no host":          {func(r *http.Request) { r.URL.Host = "" }, "request: URL must be absolute"},
		"other scheme":     {func(r *http.Request) { r.URL.Scheme = "gopher" }, "request: URL must be absolute"},
		"user name":        {func(r *http.Request) { r.URL.User = url.UserPassword("user", "s3cret-proxy") }, "request: URL must not hold a user name"},
		"IDN":              {func(r *http.Request) { r.URL.Host = "acmé.checkfront.com" }, "request: URL host"},
		"plain http":       {func(r *http.Request) { r.URL.Host = "acme.checkfront.com" }, "guard: plain http to acme.checkfront.com is not allowed"},
		"newline":          {func(r *http.Request) { r.Header.Set("X-Key", "s3cret-header\n") }, `request: header "X-Key"`},
		"private address":  {func(r *http.Request) { r.URL.Scheme, r.URL.Host = "https", "10.1.2.3" }, "guard: 10.1.2.3 is at 10.1.2.3 (private), which is not allowed"},
		"metadata address": {func(r *http.Request) { r.URL.Scheme, r.URL.Host = "https", "169.254.169.254" }, "guard: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serveRaw(t, wantSilence(t))
			for _, newDoer := range bothWays(client) {
				body := &closeCounter{Reader: strings.NewReader("s3cret-body")}
				req := post(t, "http://"+addr)
				req.Body = body
				tt.change(req)
				_, err := newDoer().Do(t.Context(), req)
				wantError(t, err, credential.KindTransient, credential.CodeNotConnected, tt.cause)
				if req.Body == body && body.closed.Load() == 0 {
					t.Error("the request's body was not closed")
				}
			}
		})
	}
}

// wantSilence returns a connection's handler that fails the test if a byte arrives.
func wantSilence(t *testing.T) func(net.Conn, int) {
	return func(conn net.Conn, _ int) {
		if sent, _ := io.ReadAll(conn); len(sent) > 0 {
			t.Errorf("server was sent %d bytes", len(sent))
		}
	}
}

type closeCounter struct {
	io.Reader
	closed atomic.Int32
}

func (c *closeCounter) Close() error {
	c.closed.Add(1)
	return nil
}

func TestConnectionsArePooled(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := make(map[string]int)
	server, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.RemoteAddr]++
	})
	client := newClient(t)
	for range 3 {
		if _, err := client.Do(t.Context(), post(t, server.URL)); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 1 {
		t.Errorf("three calls took %d connections: %v", len(seen), seen)
	}
}

func TestOnCall(t *testing.T) {
	t.Parallel()
	type call struct {
		host string
		err  error
	}
	var calls []call
	server, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	client := newClient(t, func(s *egress.Settings) {
		s.OnCall = func(host string, took time.Duration, err error) {
			if took <= 0 {
				t.Errorf("a call to %s took %v", host, took)
			}
			calls = append(calls, call{host, err})
		}
	})
	_, _ = client.Do(t.Context(), post(t, server.URL))
	once := client.Once(egress.OnceOptions{})
	_, _ = once.Do(t.Context(), post(t, server.URL))
	_, _ = once.Do(t.Context(), post(t, server.URL)) // no call
	_, err := client.Do(t.Context(), post(t, "http://ACME.checkfront.com"))
	want := []call{{"127.0.0.1", nil}, {"127.0.0.1", nil}, {"acme.checkfront.com", err}}
	if len(calls) != len(want) || err == nil {
		t.Fatalf("hook was told of %v, want %v", calls, want)
	}
	for i := range want {
		if calls[i] != want[i] {
			t.Errorf("hook was told of %v, want %v", calls[i], want[i])
		}
	}
}
