package egress

import (
	"fmt"
	"net/netip"
	"strconv"
)

// reservedRange is one range in which no provider can be.
type reservedRange struct {
	prefix netip.Prefix
	what   string
}

// reservedRanges follow IANA's special-purpose address registries (RFC 6890),
// with one address that a cloud has put among the public ones.
var reservedRanges = func() []reservedRange {
	table := []struct{ prefix, what string }{
		{"0.0.0.0/8", "unspecified"},
		{"10.0.0.0/8", "private"},
		{"100.64.0.0/10", "carrier-grade NAT"},
		{"127.0.0.0/8", "loopback"},
		{"168.63.129.16/32", "cloud platform"}, // Azure's WireServer
		{"169.254.0.0/16", "link-local"},
		{"172.16.0.0/12", "private"},
		{"192.0.0.0/24", "protocol assignment"},
		{"192.0.2.0/24", "documentation"},
		{"192.88.99.0/24", "6to4 relay"},
		{"192.168.0.0/16", "private"},
		{"198.18.0.0/15", "benchmark"},
		{"198.51.100.0/24", "documentation"},
		{"203.0.113.0/24", "documentation"},
		{"224.0.0.0/4", "multicast"},
		{"240.0.0.0/4", "reserved"},

		{"::/128", "unspecified"},
		{"::1/128", "loopback"},
		{"64:ff9b:1::/48", "local NAT64"},
		{"100::/64", "discard"},
		{"2001::/32", "Teredo"},
		{"2001::/23", "protocol assignment"},
		{"2001:db8::/32", "documentation"},
		{"2002::/16", "6to4"},
		{"3fff::/20", "documentation"},
		{"fc00::/7", "private"},
		{"fe80::/10", "link-local"},
		{"fec0::/10", "site-local"},
		{"ff00::/8", "multicast"},
	}
	ranges := make([]reservedRange, len(table))
	for i, r := range table {
		ranges[i] = reservedRange{netip.MustParsePrefix(r.prefix), r.what}
	}
	return ranges
}()

var (
	// nat64 is the well-known prefix of RFC 6052; its last 32 bits are an IPv4 address.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// global is all that IANA has given out of IPv6 for public use (RFC 4291).
	global = netip.MustParsePrefix("2000::/3")
)

// plainAddr returns the address without a zone, and without the IPv6 clothes of an IPv4 one.
func plainAddr(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }

// reserved returns what an address is reserved for, and "" if a provider can be
// there. An address that stands for an IPv4 one is judged by that.
func reserved(a netip.Addr) string {
	a = plainAddr(a)
	if nat64.Contains(a) {
		b := a.As16()
		return reserved(netip.AddrFrom4([4]byte(b[12:])))
	}
	for _, r := range reservedRanges {
		if r.prefix.Contains(a) {
			return r.what
		}
	}
	if !a.Is4() && !global.Contains(a) {
		return "reserved"
	}
	return ""
}

// permit decides whether address, an IP address and port about to be dialled for
// host, may be. It is asked for every single one, after resolution.
func (l allowList) permit(host, address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return refusal(fmt.Sprintf("%s is not at an address that can be checked", clip(host)))
	}
	what, port := reserved(at.Addr()), strconv.Itoa(int(at.Port()))
	if what == "" || l.ip(at.Addr(), port) || l.host(host, port) {
		return nil
	}
	return refusal(fmt.Sprintf("%s is at %s (%s), which is not allowed", clip(host), at.Addr(), what))
}
