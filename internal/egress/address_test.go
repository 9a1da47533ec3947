package egress

import (
	"errors"
	"net/netip"
	"testing"
)

func TestReserved(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"8.8.8.8":                "",
		"100.63.255.255":         "",
		"100.128.0.1":            "",
		"172.15.255.255":         "",
		"172.32.0.1":             "",
		"192.0.1.1":              "",
		"198.17.255.255":         "",
		"198.20.0.1":             "",
		"2606:4700::1111":        "",
		"2001:200::1":            "",
		"64:ff9b::8.8.8.8":       "",
		"::ffff:8.8.8.8":         "",
		"0.0.0.0":                "unspecified",
		"0.1.2.3":                "unspecified",
		"10.255.255.255":         "private",
		"100.64.0.1":             "carrier-grade NAT",
		"100.100.100.200":        "carrier-grade NAT",
		"127.0.0.1":              "loopback",
		"127.255.255.254":        "loopback",
		"168.63.129.16":          "cloud platform",
		"169.254.169.254":        "link-local",
		"172.16.0.1":             "private",
		"172.31.255.255":         "private",
		"192.0.0.192":            "protocol assignment",
		"192.0.2.1":              "documentation",
		"192.88.99.1":            "6to4 relay",
		"192.168.1.1":            "private",
		"198.18.0.1":             "benchmark",
		"198.19.255.255":         "benchmark",
		"198.51.100.1":           "documentation",
		"203.0.113.1":            "documentation",
		"224.0.0.1":              "multicast",
		"255.255.255.255":        "reserved",
		"::":                     "unspecified",
		"::1":                    "loopback",
		"::7f00:1":               "reserved", // IPv4-compatible 127.0.0.1
		"::ffff:127.0.0.1":       "loopback",
		"::ffff:10.0.0.1":        "private",
		"::ffff:0:127.0.0.1":     "reserved", // IPv4-translated (SIIT)
		"64:ff9b::127.0.0.1":     "loopback",
		"64:ff9b::a9fe:a9fe":     "link-local",
		"64:ff9b:1::8.8.8.8":     "local NAT64",
		"100::1":                 "discard",
		"2001::1":                "Teredo",
		"2001:2::1":              "protocol assignment",
		"2001:db8::1":            "documentation",
		"2002:7f00:1::":          "6to4",
		"3fff::1":                "documentation",
		"5f00::1":                "reserved",
		"fc00::1":                "private",
		"fd00:ec2::254":          "private",
		"fe80::1":                "link-local",
		"fe80::1%eth0":           "link-local",
		"fec0::1":                "site-local",
		"ff02::1":                "multicast",
		"4000::1":                "reserved",
		"::ffff:169.254.169.254": "link-local",
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			if got := reserved(netip.MustParseAddr(text)); got != want {
				t.Errorf("reserved(%s) = %q, want %q", text, got, want)
			}
		})
	}
	if reserved(netip.Addr{}) == "" {
		t.Error("no address at all counts as public")
	}
}

func TestPermit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, allow, host, address string
		permitted                  bool
	}{
		{"public", "", "acme.checkfront.com", "8.8.8.8:443", true},
		{"private", "", "acme.checkfront.com", "10.1.2.3:443", false},
		{"name allowed", "localhost", "localhost", "127.0.0.1:80", true},
		{"other name allowed", "localhost", "acme.checkfront.com", "127.0.0.1:80", false},
		{"name and port allowed", "localhost:8080", "localhost", "127.0.0.1:8080", true},
		{"other port allowed", "localhost:8080", "localhost", "127.0.0.1:8081", false},
		{"below an allowed domain", "*.internal", "kibo.internal", "10.1.2.3:443", true},
		{"the allowed domain itself", "*.internal", "internal", "10.1.2.3:443", false},
		{"range allowed", "10.0.0.0/8", "acme.checkfront.com", "10.1.2.3:443", true},
		{"range allowed, host bits set", "10.9.9.9/8", "acme.checkfront.com", "10.1.2.3:443", true},
		{"outside the range", "10.0.0.0/8", "acme.checkfront.com", "11.1.2.3:443", true},
		{"outside the range, private", "10.0.0.0/8", "acme.checkfront.com", "192.168.2.3:443", false},
		{"range allowed, mapped address", "10.0.0.0/8", "acme.checkfront.com", "[::ffff:10.1.2.3]:443", true},
		{"address allowed", "127.0.0.1", "acme.checkfront.com", "127.0.0.1:443", true},
		{"next to the allowed address", "127.0.0.1", "acme.checkfront.com", "127.0.0.2:443", false},
		{"address and port allowed", "127.0.0.1:8443", "acme.checkfront.com", "127.0.0.1:8443", true},
		{"address and other port allowed", "127.0.0.1:8443", "acme.checkfront.com", "127.0.0.1:443", false},
		{"IPv6 allowed", "::1", "localhost", "[::1]:443", true},
		{"IPv6 in brackets allowed", "[::1]", "localhost", "[::1]:443", true},
		{"IPv6 and port allowed", "[::1]:8443", "localhost", "[::1]:443", false},
		{"IPv6 range allowed", "fd00::/8", "localhost", "[fd12::1]:443", true},
		{"no address", "127.0.0.1", "localhost", "localhost:443", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var entries []string
			if tt.allow != "" {
				entries = []string{tt.allow}
			}
			list, err := parseAllow(entries)
			if err != nil {
				t.Fatal(err)
			}
			err = list.permit(tt.host, tt.address)
			if tt.permitted != (err == nil) {
				t.Errorf("permit = %v, want permitted %v", err, tt.permitted)
			}
			if err != nil && !errors.Is(err, ErrGuard) {
				t.Errorf("%v is no ErrGuard", err)
			}
		})
	}
}
