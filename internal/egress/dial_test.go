package egress_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/egress"
	"refresher/internal/testport"
)

func TestNotConnected(t *testing.T) {
	t.Parallel()
	trusted, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(trusted.Listener.Addr().String())
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.Config.ErrorLog = discard()
	old.StartTLS()
	t.Cleanup(old.Close)
	silent := serveRaw(t, func(conn net.Conn, _ int) { _, _ = io.Copy(io.Discard, conn) })
	plain := serveRaw(t, func(conn net.Conn, _ int) { _, _ = io.WriteString(conn, "HTTP/1.1 400 s3cret-answer\r\n\r\n") })
	closing := serveRaw(t, func(net.Conn, int) {})

	tests := map[string]struct {
		base, cause string
		is          error
		change      func(*egress.Settings)
	}{
		"refused":            {base: "https://" + testport.Address(t), cause: "refused: dial tcp", is: syscall.ECONNREFUSED},
		"refused, http":      {base: "http://" + testport.Address(t), cause: "refused: dial tcp", is: syscall.ECONNREFUSED},
		"unknown authority":  {base: trusted.URL, cause: "tls: ", change: func(s *egress.Settings) { s.CAFile = "" }},
		"other name":         {base: "https://acme.checkfront.com:" + port, cause: "tls: ", change: resolveTo("127.0.0.1")},
		"old TLS":            {base: old.URL, cause: "tls: "},
		"no TLS":             {base: "https://" + plain, cause: "tls: "},
		"closed at once":     {base: "https://" + closing, cause: "tls: "},
		"silent handshake":   {base: "https://" + silent, cause: "timeout: ", is: context.DeadlineExceeded, change: hurry},
		"unknown name":       {base: "https://nobody.checkfront.com", cause: "dns: ", change: resolveTo("")},
		"rebound name":       {base: "https://acme.checkfront.com", cause: "guard: acme.checkfront.com is at 127.0.0.1 (loopback)", is: egress.ErrGuard, change: noAllow("127.0.0.1")},
		"private name":       {base: "https://acme.checkfront.com", cause: "guard: acme.checkfront.com is at 10.0.0.1 (private)", is: egress.ErrGuard, change: noAllow("10.0.0.1")},
		"metadata name":      {base: "https://acme.checkfront.com", cause: "guard: ", is: egress.ErrGuard, change: noAllow("169.254.169.254")},
		"literal, unallowed": {base: trusted.URL, cause: "guard: 127.0.0.1 is at 127.0.0.1 (loopback)", is: egress.ErrGuard, change: noAllow("")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var change []func(*egress.Settings)
			if tt.change != nil {
				change = append(change, tt.change)
			}
			for _, newDoer := range bothWays(newClient(t, change...)) {
				_, err := newDoer().Do(t.Context(), post(t, tt.base))
				wantError(t, err, credential.KindTransient, credential.CodeNotConnected, tt.cause)
				if tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("%v is no %v", err, tt.is)
				}
			}
		})
	}
}

// TestRebinding has a name that leads to an allowed place at first and to the
// loopback later. The way in is the same both times; only the address differs.
func TestRebinding(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	inside := serveRaw(t, func(conn net.Conn, _ int) {
		reached.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	_, port, _ := net.SplitHostPort(inside)
	answers := &dns{}
	client := newClient(t, func(s *egress.Settings) {
		s.Allow = []string{"127.0.0.2"}
		s.Resolver = answers.resolver()
	})
	for way, newDoer := range bothWays(client) {
		answers.set("127.0.0.2") // nobody listens there: dialled, and refused by the kernel
		_, err := newDoer().Do(t.Context(), post(t, "https://acme.checkfront.com:"+port))
		wantError(t, err, credential.KindTransient, credential.CodeNotConnected, "refused: ")
		answers.set("127.0.0.1")
		_, err = newDoer().Do(t.Context(), post(t, "https://acme.checkfront.com:"+port))
		wantError(t, err, credential.KindTransient, credential.CodeNotConnected, "guard: ")
		answers.set("127.0.0.1", "127.0.0.2")
		if _, err = newDoer().Do(t.Context(), post(t, "https://acme.checkfront.com:"+port)); err == nil {
			t.Errorf("%s: an address among others was dialled", way)
		}
	}
	if reached.Load() != 0 {
		t.Error("the inside was reached")
	}
}

// TestCompatHosts speaks to a server that knows no cipher suite but the old one.
func TestCompatHosts(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = &tls.Config{
		MaxVersion:   tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256},
	}
	server.Config.ErrorLog = discard()
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	answers := &dns{}
	answers.set("127.0.0.1")
	client := newClient(t, func(s *egress.Settings) {
		s.CompatHosts = []string{"EXAMPLE.com"}
		s.Resolver = answers.resolver()
	})
	for _, newDoer := range bothWays(client) {
		if _, err := newDoer().Do(t.Context(), post(t, "https://example.com:"+port)); err != nil {
			t.Errorf("compat host: %v", err)
		}
		_, err := newDoer().Do(t.Context(), post(t, "https://127.0.0.1:"+port))
		wantError(t, err, credential.KindTransient, credential.CodeNotConnected, "tls: ")
	}
	modern, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.TLS.Version != tls.VersionTLS13 {
			t.Errorf("a compat host is spoken to in %s", tls.VersionName(r.TLS.Version))
		}
	})
	_, port, _ = net.SplitHostPort(modern.Listener.Addr().String())
	if _, err := client.Do(t.Context(), post(t, "https://example.com:"+port)); err != nil {
		t.Error(err)
	}
}

func TestSettingsProblems(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := egress.New(egress.Settings{
		Allow: []string{"0.0.0.0/0", "10.0.0.0/33", "::ffff:10.0.0.0/104", "*", "a b", "localhost:0", "127.0.0.1:0", "https://x"},
		Proxy: "http://user:s3cret-proxy@[broken", CAFile: empty, CallTimeout: -1, MaxBody: -1, UserAgent: "a\nb", CompatHosts: []string{"8.8.8.8"},
	})
	want := `allowed host "0.0.0.0/0" would allow every address
allowed host "10.0.0.0/33" is not a CIDR such as 10.0.0.0/8
allowed host "::ffff:10.0.0.0/104" must be written as an IPv4 CIDR
allowed host "*" is not a valid host name; want a name, *.domain, an address or a CIDR
allowed host "a b" is not a valid host name; want a name, *.domain, an address or a CIDR
allowed host "localhost:0" port must be a number from 1 to 65535
allowed host "127.0.0.1:0" port must be a number from 1 to 65535
allowed host "https://x" is not a CIDR such as 10.0.0.0/8
proxy is not a valid URL
CA file ` + empty + ` holds no certificate in PEM form
compat host "8.8.8.8": is not a valid host name
call timeout -1ns is negative
body limit -1 is not between 0 and 1 GiB
user agent holds a character that cannot be sent`
	if err == nil || err.Error() != want {
		t.Errorf("problems are\n%v\nwant\n%s", err, want)
	}
	for _, proxy := range []credential.Secret{
		"proxy:3128", "socks5://s3cret-proxy@proxy", "http://s3cret-proxy@proxy/path", "http://proxy?s3cret-proxy", "http://proxy:s3cret-proxy", "//proxy", "http://u:s3cret-proxy@",
	} {
		_, err := egress.New(egress.Settings{Proxy: proxy, CAFile: "/nonexistent"})
		if err == nil || !strings.HasPrefix(err.Error(), "proxy ") || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: problems are %v", proxy.Reveal(), err)
		}
		wantNoSecret(t, err)
	}
}

func hurry(s *egress.Settings) { s.CallTimeout = 300 * time.Millisecond }

func resolveTo(ip string) func(*egress.Settings) {
	return func(s *egress.Settings) {
		answers := &dns{}
		if ip != "" {
			answers.set(ip)
		}
		s.Resolver = answers.resolver()
	}
}

func noAllow(ip string) func(*egress.Settings) {
	return func(s *egress.Settings) {
		s.Allow = nil
		resolveTo(ip)(s)
	}
}

// dns answers every question for an IPv4 address with the same ones, and every
// other with nothing.
type dns struct {
	mu  sync.Mutex
	ips []netip.Addr
}

func (d *dns) set(ips ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ips = nil
	for _, ip := range ips {
		d.ips = append(d.ips, netip.MustParseAddr(ip))
	}
}

func (d *dns) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go d.serve(there)
		return here, nil
	}}
}

// serve speaks DNS as over TCP, each message after its length (RFC 1035, 4.2.2).
func (d *dns) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply := d.reply(query)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// reply repeats the question and answers it (RFC 1035, 4.1).
func (d *dns) reply(query []byte) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root label, type and class
	d.mu.Lock()
	defer d.mu.Unlock()
	ips := d.ips
	if binary.BigEndian.Uint16(query[end-4:]) != 1 {
		ips = nil
	}
	reply := append([]byte{}, query[:2]...)
	reply = append(reply, 0x81, 0x80, 0, 1, 0, byte(len(ips)), 0, 0, 0, 0)
	reply = append(reply, query[12:end]...)
	for _, ip := range ips {
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		reply = append(reply, ip.AsSlice()...)
	}
	return reply
}
