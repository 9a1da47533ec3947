package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// allowed is one entry of Settings.Allow. Exactly one of name and prefix is set;
// an empty port means any.
type allowed struct {
	name   string
	prefix netip.Prefix
	port   string
}

// allowList is Settings.Allow, parsed.
type allowList []allowed

// host reports whether a name or literal address, in lower case, is on the list
// with this port.
func (l allowList) host(host, port string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return l.ip(ip, port)
	}
	return slices.ContainsFunc(l, func(a allowed) bool {
		return a.name != "" && matchName(a.name, host) && a.takes(port)
	})
}

// ip reports whether an address is on the list with this port.
func (l allowList) ip(ip netip.Addr, port string) bool {
	return slices.ContainsFunc(l, func(a allowed) bool {
		return a.name == "" && a.prefix.Contains(plainAddr(ip)) && a.takes(port)
	})
}

func (a allowed) takes(port string) bool { return a.port == "" || a.port == port }

// parseAllow parses all entries and returns what is wrong with any of them.
func parseAllow(entries []string) (allowList, error) {
	list := make(allowList, 0, len(entries))
	var problems []error
	for _, entry := range entries {
		a, err := parseAllowed(strings.ToLower(entry))
		if err != nil {
			problems = append(problems, fmt.Errorf("allowed host %q %w", clip(entry), err))
			continue
		}
		list = append(list, a)
	}
	return list, errors.Join(problems...)
}

func parseAllowed(entry string) (allowed, error) {
	if strings.Contains(entry, "/") {
		return parseAllowedRange(entry)
	}
	if ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]")); err == nil {
		return allowedAddr(ip, ""), nil
	}
	if at, err := netip.ParseAddrPort(entry); err == nil {
		if at.Port() == 0 {
			return allowed{}, errors.New("port must be a number from 1 to 65535")
		}
		return allowedAddr(at.Addr(), strconv.Itoa(int(at.Port()))), nil
	}
	name, port, hasPort := strings.Cut(entry, ":")
	if hasPort {
		if err := checkPort(port); err != nil {
			return allowed{}, err
		}
	}
	if err := checkName(strings.TrimPrefix(name, "*.")); err != nil {
		return allowed{}, fmt.Errorf("%w; want a name, *.domain, an address or a CIDR", err)
	}
	return allowed{name: name, port: port}, nil
}

func parseAllowedRange(entry string) (allowed, error) {
	prefix, err := netip.ParsePrefix(entry)
	switch {
	case err != nil:
		return allowed{}, errors.New("is not a CIDR such as 10.0.0.0/8")
	case prefix.Bits() == 0:
		return allowed{}, errors.New("would allow every address")
	case prefix.Addr().Is4In6():
		return allowed{}, errors.New("must be written as an IPv4 CIDR")
	}
	return allowed{prefix: prefix.Masked()}, nil
}

func allowedAddr(ip netip.Addr, port string) allowed {
	ip = plainAddr(ip)
	return allowed{prefix: netip.PrefixFrom(ip, ip.BitLen()), port: port}
}
