package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// dialer opens connections: TCP to the host or through the proxy, then TLS.
// It does not change once made.
type dialer struct {
	allow     allowList
	proxy     *proxy // nil if hosts are dialled directly
	resolver  *net.Resolver
	roots     *x509.CertPool
	compat    map[string]bool
	limit     time.Duration
	userAgent string
}

// dial returns a connection to addr ("host:port") that is ready for the first
// byte of an HTTP/1.1 request. Its errors are *unsentError. Once it has returned,
// ctx has no hold on the connection any more.
func (d *dialer) dial(ctx context.Context, secure bool, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	host, port, err := net.SplitHostPort(strings.ToLower(addr))
	if err != nil {
		return nil, unsentAt(ctx, stageRequest, err)
	}
	conn, err := d.route(ctx, host, port)
	if err != nil {
		return nil, unsentAt(ctx, stageConnect, err)
	}
	if !secure {
		return conn, nil
	}
	secured := tls.Client(conn, d.tlsConfig(host))
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, unsentAt(ctx, stageTLS, err)
	}
	return secured, nil
}

// route returns a TCP connection, or a tunnel that is as good as one. The guard
// stands in Control, which is called with every address just before it is dialled:
// what was resolved before that does not count, so a name cannot lead elsewhere
// between a check and its use.
func (d *dialer) route(ctx context.Context, host, port string) (net.Conn, error) {
	addr := net.JoinHostPort(host, port)
	if d.proxy != nil {
		if _, err := netip.ParseAddr(host); err == nil {
			if err := d.allow.permit(host, addr); err != nil {
				return nil, err
			}
		}
		return d.tunnel(ctx, addr)
	}
	direct := net.Dialer{
		Resolver: d.resolver,
		Control: func(_, address string, _ syscall.RawConn) error {
			return d.allow.permit(host, address)
		},
	}
	return direct.DialContext(ctx, "tcp", addr)
}

// tlsConfig returns what is asked of a host. Naming http/1.1 alone keeps a server
// from choosing HTTP/2.
func (d *dialer) tlsConfig(host string) *tls.Config {
	config := &tls.Config{
		ServerName: host,
		RootCAs:    d.roots,
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
	}
	if d.compat[host] {
		for _, suite := range tls.CipherSuites() {
			config.CipherSuites = append(config.CipherSuites, suite.ID)
		}
		config.CipherSuites = append(config.CipherSuites, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256)
	}
	return config
}
