package egress

import (
	"net/netip"
	"strings"
	"testing"
)

// FuzzAllow parses entries of egress.allow. What is taken allows what it names, and
// never all there is.
func FuzzAllow(f *testing.F) {
	f.Add("*.example.com:8443", "a.example.com")
	f.Add("127.0.0.1", "127.0.0.1")
	f.Add("[::ffff:127.0.0.1]:80", "127.0.0.1")
	f.Add("10.0.0.0/8", "10.1.2.3")
	f.Add("::/0", "::1")
	f.Add("*", "localhost")
	f.Add("*.*.example.com", "a.b.example.com")
	f.Add("example.com:0", "example.com")
	f.Add("fe80::1%eth0", "fe80::1")
	f.Fuzz(func(t *testing.T, entry, host string) {
		list, err := parseAllow([]string{entry})
		if err != nil {
			if len(list) > 0 {
				t.Errorf("%q is refused, and allows %+v", entry, list)
			}
			return
		}
		for _, a := range list {
			if (a.name == "") != a.prefix.IsValid() || a.prefix.IsValid() && a.prefix.Bits() == 0 {
				t.Errorf("%q is taken for %+v", entry, a)
			}
		}
		// Nobody is on both of these lists but by a port, and so on a list of everything.
		if list.host("one.test", "443") && list.host("another.invalid", "443") {
			t.Errorf("%q allows every name", entry)
		}
		if list.host("192.0.2.1", "443") && list.host("198.51.100.1", "443") && list.host("2001:db8::1", "443") {
			t.Errorf("%q allows every address", entry)
		}
		host = strings.ToLower(host)
		if ip, err := netip.ParseAddr(host); err == nil && list.ip(ip, "443") != list.host(host, "443") {
			t.Errorf("%q judges %s by how it is asked", entry, host)
		}
	})
}
