package egress_test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/egress"
	"refresher/internal/testport"
)

// connectProxy is a proxy that takes every tunnel to one place, whatever was asked for.
type connectProxy struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newProxy(t *testing.T, secure bool, to string) *connectProxy {
	t.Helper()
	p := new(connectProxy)
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := strings.Cut(decodeBasic(r.Header.Get("Proxy-Authorization")), ":")
		if r.Method != http.MethodConnect || user != "refresher" || password != "s3cret-proxy" {
			http.Error(w, "s3cret-answer", http.StatusProxyAuthRequired)
			return
		}
		p.mu.Lock()
		p.asked = append(p.asked, r.Host)
		p.mu.Unlock()
		tunnel(t, w, to)
	}))
	p.Config.ErrorLog = discard()
	if secure {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p
}

func decodeBasic(header string) string {
	text, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(header, "Basic "))
	return string(text)
}

func tunnel(t *testing.T, w http.ResponseWriter, to string) {
	up, err := net.Dial("tcp", to)
	if err != nil {
		t.Error(err)
		return
	}
	defer up.Close()
	down, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer down.Close()
	_, _ = io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n")
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(up, down)
		_ = up.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(down, up)
	_ = down.Close()
	copying.Wait()
}

// url returns the proxy's URL with a password.
func (p *connectProxy) url(password string) credential.Secret {
	return credential.Secret(strings.Replace(p.URL, "://", "://refresher:"+password+"@", 1))
}

func TestProxy(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Proxy-Authorization") != "" {
					t.Error("the provider was shown the proxy's password")
				}
				_, _ = io.WriteString(w, r.Host)
			})
			proxy := newProxy(t, secure, server.Listener.Addr().String())
			// Nothing is allowed, and example.com, which httptest's certificate is
			// for, is resolved by the proxy alone.
			client := newClient(t, func(s *egress.Settings) { s.Allow, s.Proxy = nil, proxy.url("s3cret-proxy") })
			for way, newDoer := range bothWays(client) {
				answer, err := newDoer().Do(t.Context(), post(t, "https://example.com"))
				if err != nil || string(answer.Body) != "example.com" {
					t.Errorf("%s: answer is %q (%v)", way, answer.Body, err)
				}
				_, err = newDoer().Do(t.Context(), post(t, "https://10.0.0.1"))
				wantError(t, err, credential.KindTransient, credential.CodeNotConnected, "guard: ")
				_, err = newDoer().Do(t.Context(), post(t, "http://example.com"))
				wantError(t, err, credential.KindTransient, credential.CodeNotConnected, "guard: plain http")
			}
			if want := "example.com:443 example.com:443"; strings.Join(proxy.asked, " ") != want {
				t.Errorf("proxy was asked for %v, want %s", proxy.asked, want)
			}
		})
	}
}

func TestProxyThatFails(t *testing.T) {
	t.Parallel()
	strict := newProxy(t, false, "")
	broken := serveRaw(t, func(net.Conn, int) {})
	babbling := serveRaw(t, func(conn net.Conn, _ int) {
		_, _ = bufio.NewReader(conn).ReadString('\n')
		_, _ = io.WriteString(conn, "s3cret-answer\r\n\r\n")
	})
	hasty := serveRaw(t, func(conn net.Conn, _ int) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\ns3cret-answer")
		_, _ = io.Copy(io.Discard, conn)
	})
	silent := serveRaw(t, func(conn net.Conn, _ int) { _, _ = io.Copy(io.Discard, conn) })
	tests := map[string]struct {
		proxy credential.Secret
		cause string
	}{
		"wrong password": {strict.url("s3cret-proxy-not"), "proxy: it answered 407"},
		"nobody there":   {credential.Secret("http://u:s3cret-proxy@" + testport.Address(t)), "refused: to the proxy: dial tcp"},
		"closing":        {credential.Secret("http://u:s3cret-proxy@" + broken), "proxy: "},
		"no TLS":         {credential.Secret("https://u:s3cret-proxy@" + broken), "proxy: "},
		"no HTTP":        {credential.Secret("http://u:s3cret-proxy@" + babbling), "proxy: it closed the connection or did not answer in HTTP"},
		"too much":       {credential.Secret("http://u:s3cret-proxy@" + hasty), "proxy: it sent more than an answer"},
		"silent":         {credential.Secret("http://u:s3cret-proxy@" + silent), "timeout: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, func(s *egress.Settings) {
				s.Proxy = tt.proxy
				s.CallTimeout = time.Second
			})
			for _, newDoer := range bothWays(client) {
				_, err := newDoer().Do(t.Context(), post(t, "https://acme.checkfront.com"))
				wantError(t, err, credential.KindTransient, credential.CodeNotConnected, tt.cause)
			}
		})
	}
}

// TestProxyThatTakesTooLong sees that the deadline of a rotation covers CONNECT.
func TestProxyThatTakesTooLong(t *testing.T) {
	t.Parallel()
	silent := serveRaw(t, func(conn net.Conn, _ int) { _, _ = io.Copy(io.Discard, conn) })
	client := newClient(t, func(s *egress.Settings) { s.Proxy = credential.Secret("http://u:s3cret-proxy@" + silent) })
	once := client.Once(egress.OnceOptions{SendBy: time.Now().Add(200 * time.Millisecond)})
	_, err := once.Do(t.Context(), post(t, "https://acme.checkfront.com"))
	wantError(t, err, credential.KindTransient, credential.CodeNotConnected, "deadline: send deadline passed while connecting: timeout: ")
	if !errors.Is(err, egress.ErrSendDeadline) {
		t.Errorf("%v is no ErrSendDeadline", err)
	}
}

// TestProxiesOfTheEnvironmentAreIgnored sets what net/http would follow.
func TestProxiesOfTheEnvironmentAreIgnored(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://u:s3cret-proxy@"+testport.Address(t))
	}
	t.Setenv("NO_PROXY", "")
	server, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	answers := &dns{}
	answers.set("127.0.0.1") // not spelled as loopback, for which net/http makes an exception
	client := newClient(t, func(s *egress.Settings) { s.Resolver = answers.resolver() })
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, newDoer := range bothWays(client) {
		if _, err := newDoer().Do(t.Context(), post(t, "https://example.com:"+port)); err != nil {
			t.Error(err)
		}
	}
}
