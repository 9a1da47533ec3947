package egress_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"refresher/internal/credential"
	"refresher/internal/egress"
)

func TestOnceReturnsTheAnswer(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	server, requests := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "s3cret-answer")
	})
	var gated time.Time
	doer := newClient(t).Once(egress.OnceOptions{
		SendBy: time.Now().Add(time.Minute),
		Gate: func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("the gate has no deadline")
			}
			if requests.Load() != 0 {
				t.Error("the gate was asked after the request")
			}
			gated = time.Now()
			return nil
		},
	})
	req := post(t, server.URL)
	req.Header.Set("Connection", "keep-alive")
	req.Header.Set("Expect", "100-continue")
	answer, err := doer.Do(t.Context(), req)
	if err != nil || answer.Status != http.StatusOK || string(answer.Body) != "s3cret-answer" || answer.Truncated {
		t.Fatalf("answer is %+v (%v)", answer, err)
	}
	if gated.IsZero() || answer.StartedAt.Before(gated) {
		t.Errorf("started at %v, gate passed at %v", answer.StartedAt, gated)
	}
	if got.RequestURI != "/s3cret-path?apikey=s3cret-query" || string(body) != "refresh_token=s3cret-body" || got.ContentLength != int64(len(body)) {
		t.Errorf("server saw %s with body %q of length %d", got.RequestURI, body, got.ContentLength)
	}
	if !got.Close || !slices.Equal(got.Header["Connection"], []string{"close"}) || got.Header.Get("Expect") != "" || got.UserAgent() != egress.DefaultUserAgent ||
		got.Header.Get("Authorization") != "Bearer s3cret-header" || "https://"+got.Host != server.URL {
		t.Errorf("server saw host %s and headers %v", got.Host, got.Header)
	}
}

func TestOnceTakesAFreshConnectionOfHTTP1(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var peers []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Proto != "HTTP/1.1" {
			t.Errorf("spoken to in %s", r.Proto)
		}
		peers = append(peers, r.RemoteAddr)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	client := newClient(t)
	for range 2 {
		if _, err := client.Do(t.Context(), post(t, server.URL)); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Once(egress.OnceOptions{}).Do(t.Context(), post(t, server.URL)); err != nil {
			t.Fatal(err)
		}
	}
	if peers[0] != peers[2] {
		t.Error("the pool's connection was not kept")
	}
	if slices.Contains(peers[:3], peers[3]) || peers[1] == peers[0] {
		t.Errorf("a connection was used again: %v", peers)
	}
}

func TestOnceIsRefused(t *testing.T) {
	t.Parallel()
	errGate := errors.New("spent already")
	rejected := &credential.Error{Kind: credential.KindRejected, Code: "spent"}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	duringGate, cancelDuringGate := context.WithCancel(t.Context())
	tests := map[string]struct {
		ctx   context.Context
		opts  egress.OnceOptions
		kind  credential.Kind
		code  string
		cause string
		is    error
	}{
		"by the gate": {
			opts:  egress.OnceOptions{Gate: func(context.Context) error { return errGate }},
			cause: "gate: spent already", is: errGate,
		},
		"by the gate, in its own words": {
			opts: egress.OnceOptions{Gate: func(context.Context) error { return rejected }},
			kind: credential.KindRejected, code: "spent", is: rejected,
		},
		"by the deadline, before dialling": {
			opts:  egress.OnceOptions{SendBy: time.Now().Add(-time.Second)},
			cause: "deadline: send deadline passed", is: egress.ErrSendDeadline,
		},
		"by its context, before dialling": {
			ctx: cancelled, cause: "canceled: ", is: context.Canceled,
		},
		"by its context, during the gate": {
			ctx: duringGate,
			opts: egress.OnceOptions{Gate: func(context.Context) error {
				cancelDuringGate()
				return nil
			}},
			cause: "canceled: ", is: context.Canceled,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serveRaw(t, wantSilence(t))
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			_, err := newClient(t).Once(tt.opts).Do(ctx, post(t, "http://"+addr))
			if !errors.Is(err, tt.is) {
				t.Errorf("%v is no %v", err, tt.is)
			}
			if tt.kind == credential.KindRejected {
				if got, ok := errors.AsType[*credential.Error](err); !ok || got != rejected {
					t.Errorf("the gate's error came back as %v", err)
				}
				return
			}
			wantError(t, err, credential.KindTransient, credential.CodeNotConnected, tt.cause)
		})
	}
}

// TestOnceChecksTheDeadlineAfterTheGate has a gate that takes too long and then agrees.
func TestOnceChecksTheDeadlineAfterTheGate(t *testing.T) {
	t.Parallel()
	addr := serveRaw(t, wantSilence(t))
	client, req, asked := newClient(t), post(t, "http://"+addr), false
	_, err := client.Once(egress.OnceOptions{SendBy: time.Now().Add(time.Second), Gate: func(ctx context.Context) error {
		asked = true
		<-ctx.Done()
		return nil
	}}).Do(t.Context(), req)
	wantError(t, err, credential.KindTransient, credential.CodeNotConnected, "deadline: send deadline passed")
	if !errors.Is(err, egress.ErrSendDeadline) || !asked {
		t.Errorf("%v is no ErrSendDeadline; gate asked: %v", err, asked)
	}
}

// TestOnceGateClosesTheTunnel sees that behind TLS, too, a refused request leaves
// nothing at the server but a handshake.
func TestOnceGateClosesTheTunnel(t *testing.T) {
	t.Parallel()
	server, requests := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, err := newClient(t).Once(egress.OnceOptions{Gate: func(context.Context) error { return errors.New("no") }}).Do(t.Context(), post(t, server.URL))
	wantError(t, err, credential.KindTransient, credential.CodeNotConnected, "gate: no")
	server.Close() // waits for all connections, so that a request under way would be counted
	if requests.Load() != 0 {
		t.Error("server saw a request")
	}
}

func TestOnceCannotBeCancelledOnceSent(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	client := newClient(t)
	var pastSendBy context.Context
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		client.Close()
		select {
		case <-pastSendBy.Done():
		case <-r.Context().Done():
			t.Error("the caller went away")
		}
		_, _ = io.WriteString(w, "s3cret-answer")
	}))
	t.Cleanup(server.Close)
	req := post(t, server.URL)
	sendBy := time.Now().Add(time.Second)
	pastSendBy, stop := context.WithDeadline(t.Context(), sendBy.Add(50*time.Millisecond))
	defer stop()
	answer, err := client.Once(egress.OnceOptions{SendBy: sendBy}).Do(ctx, req)
	if err != nil || string(answer.Body) != "s3cret-answer" {
		t.Errorf("answer is %+v (%v)", answer, err)
	}
	if ctx.Err() == nil || time.Now().Before(sendBy) {
		t.Error("nothing tried to cancel it")
	}
}

func TestOnceTimesOut(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server, requests := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	_, err := newClient(t).Once(egress.OnceOptions{Timeout: 300 * time.Millisecond}).Do(t.Context(), post(t, server.URL))
	wantError(t, err, credential.KindAmbiguous, egress.CodeTimeout, "sent, and no answer within")
	if requests.Load() != 1 {
		t.Errorf("server saw %d requests", requests.Load())
	}
}

func TestOnceIsForOnce(t *testing.T) {
	t.Parallel()
	server, requests := serve(t, func(http.ResponseWriter, *http.Request) {})
	doer := newClient(t).Once(egress.OnceOptions{})
	if _, err := doer.Do(t.Context(), post(t, server.URL)); err != nil {
		t.Fatal(err)
	}
	body := &closeCounter{Reader: strings.NewReader("s3cret-body")}
	req := post(t, server.URL)
	req.Body = body
	_, err := doer.Do(t.Context(), req)
	wantError(t, err, credential.KindAmbiguous, egress.CodeSecondCall, "a call that may be made once")
	if requests.Load() != 1 || body.closed.Load() == 0 {
		t.Errorf("server saw %d requests; body closed %d times", requests.Load(), body.closed.Load())
	}
}

func TestOnceBoundsTheHead(t *testing.T) {
	t.Parallel()
	addr := serveRaw(t, func(conn net.Conn, _ int) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("s3cret-answer", 10_000))
		_, _ = io.Copy(io.Discard, conn)
	})
	_, err := newClient(t).Once(egress.OnceOptions{}).Do(t.Context(), post(t, "http://"+addr))
	wantError(t, err, credential.KindAmbiguous, egress.CodeNoAnswer, "sent, and the head of the answer is too large")
}

func TestOnceReadsItsBodyFirst(t *testing.T) {
	t.Parallel()
	addr := serveRaw(t, wantSilence(t))
	req := post(t, "http://"+addr)
	req.Body = io.NopCloser(iotest.ErrReader(errors.New("s3cret-body cannot be read")))
	_, err := newClient(t).Once(egress.OnceOptions{}).Do(t.Context(), req)
	wantError(t, err, credential.KindTransient, credential.CodeNotConnected, "request: its body cannot be read")
}

// TestOnceAnsweredBeforeItWasRead has a server that refuses a request by its head
// and closes, so that the writing of the rest fails.
func TestOnceAnsweredBeforeItWasRead(t *testing.T) {
	t.Parallel()
	addr := serveRaw(t, func(conn net.Conn, _ int) {
		if _, err := conn.Read(make([]byte, 16)); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
	})
	req := post(t, "http://"+addr)
	large := strings.Repeat("x", 8<<20)
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(large)), int64(len(large))
	answer, err := newClient(t).Once(egress.OnceOptions{}).Do(t.Context(), req)
	if err != nil || answer.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("answer is %+v (%v)", answer, err)
	}
}
