package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"refresher/internal/credential"
)

// proxy is Settings.Proxy, parsed.
type proxy struct {
	target
	// authorization is the Proxy-Authorization header; empty if there is none.
	authorization credential.Secret
}

// parseProxy parses the URL of a proxy; empty means none. No error shows the URL.
func parseProxy(raw credential.Secret) (*proxy, error) {
	if raw == "" {
		return nil, nil
	}
	u, err := url.Parse(raw.Reveal())
	if err != nil {
		return nil, errors.New("proxy is not a valid URL")
	}
	if u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return nil, errors.New("proxy URL must hold nothing after the host and port")
	}
	user := u.User
	u.User = nil
	t, err := targetOf(u)
	if err != nil {
		return nil, errors.New("proxy must be http://host:port or https://host:port")
	}
	p := &proxy{target: t}
	if user != nil {
		password, _ := user.Password()
		token := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		p.authorization = credential.Secret("Basic " + token)
	}
	return p, nil
}

// tunnel asks the proxy for a connection to addr (RFC 9110, 9.3.6). The proxy's own
// address is not guarded: an operator configured it, and it is private as a rule.
func (d *dialer) tunnel(ctx context.Context, addr string) (net.Conn, error) {
	var direct net.Dialer
	conn, err := direct.DialContext(ctx, "tcp", d.proxy.addr())
	if err != nil {
		return nil, fmt.Errorf("to the proxy: %w", err)
	}
	if d.proxy.scheme == "https" {
		config := &tls.Config{ServerName: d.proxy.host, RootCAs: d.roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, unsentAt(ctx, stageProxy, err)
		}
		conn = secured
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = d.connect(conn, addr)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, unsentAt(ctx, stageProxy, err)
	}
	return conn, nil
}

// connect sends CONNECT and reads its answer, and not a byte beyond.
func (d *dialer) connect(conn net.Conn, addr string) error {
	req := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: addr},
		Host:   addr,
		Header: http.Header{"User-Agent": {d.userAgent}},
	}
	if d.proxy.authorization != "" {
		req.Header.Set("Proxy-Authorization", d.proxy.authorization.Reveal())
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	br := bufio.NewReader(io.LimitReader(conn, maxHead))
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		if _, ok := errors.AsType[net.Error](err); ok {
			return err
		}
		return errors.New("it closed the connection or did not answer in HTTP") // err may quote it
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %d", resp.StatusCode)
	}
	if br.Buffered() > 0 {
		return errors.New("it sent more than an answer")
	}
	return nil
}
