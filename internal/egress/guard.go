package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// Guard checks a URL from stored data before anything is sent to it: absolute,
// https, without user name, query and fragment, on port 443, and with a host
// that one of hosts names: exactly, or as "*.example.com" for all below a
// domain. Settings.Allow lifts the rules about scheme, port and host.
//
// The error is for the person who stored the URL. It shows the host and the
// port, and never user name, path or query. Guard looks nothing up: where the
// name leads is checked when it is dialled.
func (c *Client) Guard(rawURL string, hosts []string) error {
	// Nothing of what follows may depend on a query, so that no error can show one.
	if i := strings.IndexAny(rawURL, "?#"); i >= 0 {
		if rawURL[i] == '?' {
			return errors.New("must not hold a query (?…)")
		}
		return errors.New("must not hold a fragment (#…)")
	}
	if rawURL == "" {
		return errors.New("is empty")
	}
	if strings.ContainsFunc(rawURL, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return errors.New("must not hold spaces or control characters")
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return errors.New("is not a valid URL") // err shows all of it
	}
	t, err := targetOf(u)
	if err != nil {
		return err
	}
	if c.allow.host(t.host, t.port) {
		return nil
	}
	return t.check(hosts)
}

// target is what a URL asks to be connected to.
type target struct {
	scheme, host, port string
}

// targetOf returns the target of an absolute http or https URL without user
// name. Its host is in lower case and is a valid name or address.
func targetOf(u *url.URL) (target, error) {
	if u.Scheme != "https" && u.Scheme != "http" || u.Opaque != "" || u.Host == "" {
		return target{}, errors.New("must be absolute and begin with https://")
	}
	if u.User != nil {
		return target{}, errors.New("must not hold a user name or password")
	}
	t := target{scheme: u.Scheme, host: strings.ToLower(u.Hostname()), port: u.Port()}
	if t.port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return target{}, errors.New("must not hold an empty port")
		}
		t.port = map[string]string{"https": "443", "http": "80"}[t.scheme]
	}
	if err := checkPort(t.port); err != nil {
		return target{}, err
	}
	if _, err := netip.ParseAddr(t.host); err == nil {
		return t, nil
	}
	if err := checkName(t.host); err != nil {
		return target{}, fmt.Errorf("host %q %w", clip(t.host), err)
	}
	return t, nil
}

// check holds the target of a stored URL against the hosts of a provider.
func (t target) check(hosts []string) error {
	if t.scheme != "https" {
		return errors.New("must begin with https://")
	}
	if _, err := netip.ParseAddr(t.host); err == nil {
		return fmt.Errorf("host %q must be a name, not an address", clip(t.host))
	}
	if t.port != "443" {
		return fmt.Errorf("port %s is not allowed: leave it out", t.port)
	}
	for _, h := range hosts {
		if matchName(strings.ToLower(h), t.host) {
			return nil
		}
	}
	return fmt.Errorf("host %q is not allowed: want %s", clip(t.host), strings.Join(hosts, " or "))
}

// addr returns the target as a dialer wants it.
func (t target) addr() string { return net.JoinHostPort(t.host, t.port) }

// matchName reports whether a name is the pattern, or lies below its domain if
// the pattern begins with "*.". Both are in lower case, and name is a valid one.
func matchName(pattern, name string) bool {
	if below, ok := strings.CutPrefix(pattern, "*."); ok {
		return strings.HasSuffix(name, "."+below)
	}
	return pattern == name
}

// checkName reports what keeps name from being a host name in its one canonical
// form: lower case ASCII, no trailing dot (RFC 1123). Underscores are tolerated. A
// last label that begins with a digit would be read as an address by some
// ("127.1", "0x7f000001"), and no top-level domain begins with one.
func checkName(name string) error {
	if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		return errors.New("must be written in ASCII (xn--…)")
	}
	if strings.HasSuffix(name, ".") {
		return errors.New("must not end with a dot")
	}
	if len(name) > 253 {
		return errors.New("is too long for a host name")
	}
	for label := range strings.SplitSeq(name, ".") {
		if !validLabel(label) {
			return errors.New("is not a valid host name")
		}
	}
	if last := name[strings.LastIndexByte(name, '.')+1]; '0' <= last && last <= '9' {
		return errors.New("is not a valid host name")
	}
	return nil
}

func validLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

func checkPort(port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return errors.New("port must be a number from 1 to 65535")
	}
	return nil
}
