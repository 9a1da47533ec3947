package egress_test

import (
	"bufio"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"refresher/internal/credential"
	"refresher/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The secrets that requests of these tests carry; none may ever be in an error.
var secrets = []string{"s3cret-query", "s3cret-path", "s3cret-header", "s3cret-body", "s3cret-answer", "s3cret-proxy"}

// newClient returns a client that trusts the loopback addresses and httptest's certificate.
func newClient(t *testing.T, change ...func(*egress.Settings)) *egress.Client {
	t.Helper()
	s := egress.Settings{Allow: []string{"127.0.0.0/8"}, CAFile: caFile(t)}
	for _, f := range change {
		f(&s)
	}
	c, err := egress.New(s)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// caFile writes the certificate that all servers of httptest share.
func caFile(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// serve starts an https server that counts its requests.
func serve(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	requests := new(atomic.Int32)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		handler(w, r)
	}))
	server.Config.ErrorLog = discard()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, requests
}

// discard takes what a server says of handshakes that fail on purpose.
func discard() *log.Logger { return log.New(io.Discard, "", 0) }

// serveRaw starts a server that hands every connection to handle, with its
// number from 1, and closes it afterwards. It returns "127.0.0.1:port".
func serveRaw(t *testing.T, handle func(conn net.Conn, number int)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for number := 1; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				handle(conn, number)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

// post returns a request that carries a secret wherever one can be.
func post(t *testing.T, base string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		base+"/s3cret-path?apikey=s3cret-query", strings.NewReader("refresh_token=s3cret-body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer s3cret-header")
	return req
}

func get(t *testing.T, base string) *http.Request {
	t.Helper()
	req := post(t, base)
	req.Method, req.Body, req.GetBody, req.ContentLength = http.MethodGet, nil, nil, 0
	return req
}

// readRequest reads one request with its body from a raw connection.
func readRequest(br *bufio.Reader) error {
	req, err := http.ReadRequest(br)
	if err != nil {
		return err
	}
	_, err = br.Discard(int(req.ContentLength))
	return err
}

// wantError checks kind, code and the beginning of the cause, and that nothing in
// the whole chain of errors shows a secret.
func wantError(t *testing.T, err error, kind credential.Kind, code, cause string) {
	t.Helper()
	e, ok := errors.AsType[*credential.Error](err)
	if !ok {
		t.Fatalf("error is %T (%v), want *credential.Error", err, err)
	}
	if e.Kind != kind || e.Code != code {
		t.Errorf("error is %v %q (%v), want %v %q", e.Kind, e.Code, err, kind, code)
	}
	if e.Err == nil || !strings.HasPrefix(e.Err.Error(), cause) {
		t.Errorf("cause is %v, want it to begin with %q", e.Err, cause)
	}
	wantNoSecret(t, err)
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range secrets {
		if text := fmt.Sprintf("%v %+v %#v %q", err, err, err, err); strings.Contains(text, secret) {
			t.Errorf("error shows %s: %s", secret, text)
		}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		wantNoSecret(t, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			wantNoSecret(t, err)
		}
	}
}
