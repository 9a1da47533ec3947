package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"refresher/internal/credential"
)

// Defaults of Settings and OnceOptions.
const (
	DefaultCallTimeout     = 20 * time.Second
	DefaultRotationTimeout = 120 * time.Second
	DefaultMaxBody         = 1 << 20
	DefaultUserAgent       = "refresher"
)

const (
	// maxHead bounds the head of an answer: its status line and its headers.
	maxHead = 64 << 10
	// idleTimeout is shorter than common servers' keep-alive, so that a pooled
	// connection is seldom closed by the other side just as it is used.
	idleTimeout = 30 * time.Second
)

// Settings say how providers are reached. The zero value is complete: providers
// are dialled directly, at public addresses, over https.
type Settings struct {
	// Allow are hosts that are trusted beyond the providers' own lists: they
	// count as on every list, on any port, may be spoken to over plain http, and
	// may be at a private or loopback address. Each is a name ("localhost"), all
	// names below a domain ("*.internal"), an address ("127.0.0.1", "::1") or a
	// CIDR ("10.0.0.0/8"); names and addresses may have a port
	// ("localhost:8080", "[::1]:8080"), and then only that port is allowed.
	// A CIDR or an address also allows the names that resolve into it to be
	// dialled, but neither puts those names on a list nor allows them plain http.
	Allow []string
	// Proxy is the URL of an http or https proxy that understands CONNECT,
	// optionally with a user name and password; empty means none. Every call goes through
	// it, and the proxy resolves the names: keeping them off private addresses is
	// then its task, while the rules for names and for literal addresses still hold here.
	Proxy credential.Secret
	// CAFile names a PEM file of roots that are trusted beside the system's.
	CAFile string
	// CallTimeout limits a whole call of Client.Do, and the connecting of
	// Client.Once; zero means DefaultCallTimeout.
	CallTimeout time.Duration
	// MaxBody is how many bytes of an answer's body are read; zero means DefaultMaxBody.
	MaxBody int64
	// UserAgent is sent with every request that has none; empty means DefaultUserAgent.
	UserAgent string
	// CompatHosts are names of hosts to which the cipher suite
	// TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 is offered in addition.
	CompatHosts []string
	// Resolver resolves the providers' names; nil means the system's.
	Resolver *net.Resolver
	// OnCall is told of every call when it is over: the host without its port,
	// how long it took, and its error. It may be called from several goroutines at once.
	OnCall func(host string, took time.Duration, err error)
}

// Client sends requests to providers. It may be used from several goroutines at once.
type Client struct {
	allow       allowList
	dialer      *dialer
	transport   *http.Transport
	callTimeout time.Duration
	maxBody     int64
	userAgent   string
	onCall      func(host string, took time.Duration, err error)
}

// New returns a Client, or all that is wrong with the settings in one error. It
// reads CAFile and connects to nothing.
func New(s Settings) (*Client, error) {
	var problems []error
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	allow, err := parseAllow(s.Allow)
	note(err)
	proxy, err := parseProxy(s.Proxy)
	note(err)
	roots, err := loadRoots(s.CAFile)
	note(err)
	compat, err := parseCompat(s.CompatHosts)
	note(err)
	note(s.checkValues())
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	c := &Client{
		allow:       allow,
		callTimeout: orDefault(s.CallTimeout, DefaultCallTimeout),
		maxBody:     orDefault(s.MaxBody, DefaultMaxBody),
		userAgent:   orDefault(s.UserAgent, DefaultUserAgent),
		onCall:      s.OnCall,
	}
	c.dialer = &dialer{
		allow:     allow,
		proxy:     proxy,
		resolver:  s.Resolver,
		roots:     roots,
		compat:    compat,
		limit:     c.callTimeout,
		userAgent: c.userAgent,
	}
	c.transport = newTransport(c.dialer)
	return c, nil
}

// Close closes the connections that are kept for another use. Calls in flight go
// on, and the Client can still be used.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// newTransport returns the pool behind Client.Do. It is given finished
// connections by d, so that neither a proxy, nor TLS, nor HTTP/2 is its business.
func newTransport(d *dialer) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dial := func(secure bool) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, _, addr string) (net.Conn, error) {
			conn, err := d.dial(ctx, secure, addr)
			if err != nil {
				return nil, err
			}
			return &trackedConn{Conn: conn}, nil
		}
	}
	return &http.Transport{
		DialContext:            dial(false),
		DialTLSContext:         dial(true),
		Protocols:              protocols,
		DisableCompression:     true,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHead,
	}
}

func (s Settings) checkValues() error {
	var problems []error
	if s.CallTimeout < 0 {
		problems = append(problems, fmt.Errorf("call timeout %v is negative", s.CallTimeout))
	}
	if s.MaxBody < 0 || s.MaxBody > 1<<30 {
		problems = append(problems, fmt.Errorf("body limit %d is not between 0 and 1 GiB", s.MaxBody))
	}
	if !sendable(s.UserAgent) {
		problems = append(problems, errors.New("user agent holds a character that cannot be sent"))
	}
	return errors.Join(problems...)
}

// loadRoots returns the system's roots and those in the file; nil, which means
// the system's alone, if there is no file.
func loadRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("CA file: the system's roots cannot be read: %w", err)
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no certificate in PEM form", file)
	}
	return roots, nil
}

func parseCompat(hosts []string) (map[string]bool, error) {
	compat := make(map[string]bool, len(hosts))
	var problems []error
	for _, h := range hosts {
		name := strings.ToLower(h)
		if err := checkName(name); err != nil {
			problems = append(problems, fmt.Errorf("compat host %q: %w", clip(h), err))
		}
		compat[name] = true
	}
	return compat, errors.Join(problems...)
}

// sendable reports whether value can stand in a header.
func sendable(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r != '\t' && (r < ' ' || r == 0x7f) })
}

func orDefault[T comparable](value, def T) T {
	var zero T
	if value == zero {
		return def
	}
	return value
}
