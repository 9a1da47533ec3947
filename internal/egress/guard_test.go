package egress_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"refresher/internal/egress"
)

var checkfront = []string{"*.checkfront.com", "checkfront.test"}

func TestGuard(t *testing.T) {
	t.Parallel()
	client, err := egress.New(egress.Settings{Allow: []string{"localhost", "sim.internal:8443", "*.demo", "127.0.0.0/8", "[::1]:8080"}})
	if err != nil {
		t.Fatal(err)
	}
	// An empty problem means that the URL is accepted.
	tests := map[string]struct{ url, problem string }{
		"name below the domain":      {"https://acme.checkfront.com", ""},
		"exact name":                 {"https://checkfront.test", ""},
		"two levels below":           {"https://a.b.checkfront.com", ""},
		"path":                       {"https://acme.checkfront.com/v2/", ""},
		"upper case":                 {"HTTPS://ACME.CheckFront.COM/", ""},
		"port 443":                   {"https://acme.checkfront.com:443", ""},
		"punycode below the domain":  {"https://xn--bcher-kva.checkfront.com", ""},
		"underscore":                 {"https://a_b.checkfront.com", ""},
		"allowed over http":          {"http://localhost:1234/x", ""},
		"allowed over https":         {"https://localhost", ""},
		"allowed with its port":      {"http://sim.internal:8443", ""},
		"allowed below a domain":     {"http://acme.checkfront.demo:80", ""},
		"allowed address":            {"http://127.1.2.3:9", ""},
		"allowed IPv6, written long": {"http://[0:0:0:0:0:0:0:1]:8080", ""},
		"allowed mapped address":     {"http://[::ffff:127.0.0.1]:8080", ""},

		"empty":                    {"", "is empty"},
		"no scheme":                {"acme.checkfront.com", "must be absolute"},
		"scheme relative":          {"//acme.checkfront.com", "must be absolute"},
		"opaque":                   {"https:acme.checkfront.com", "must be absolute"},
		"no host":                  {"https:///x", "must be absolute"},
		"other scheme":             {"ftp://acme.checkfront.com", "must be absolute"},
		"file":                     {"file:///etc/passwd", "must be absolute"},
		"http":                     {"http://acme.checkfront.com", "must begin with https://"},
		"user":                     {"https://user@acme.checkfront.com", "user name"},
		"user and password":        {"https://user:s3cret-query@acme.checkfront.com", "user name"},
		"empty user":               {"https://@acme.checkfront.com", "user name"},
		"host as user":             {"https://acme.checkfront.com@evil.test", "user name"},
		"host as user and port":    {"https://acme.checkfront.com:443@evil.test", "user name"},
		"encoded at sign":          {"https://acme.checkfront.com%40evil.test", "not a valid URL"},
		"query":                    {"https://acme.checkfront.com/?apikey=s3cret-query", "query"},
		"empty query":              {"https://acme.checkfront.com/?", "query"},
		"query hides the host":     {"https://evil.test?.checkfront.com", "query"},
		"fragment":                 {"https://acme.checkfront.com/#s3cret-query", "fragment"},
		"empty fragment":           {"https://acme.checkfront.com/#", "fragment"},
		"fragment hides the host":  {"https://evil.test#.checkfront.com", "fragment"},
		"backslash":                {`https://evil.test\.checkfront.com`, "not a valid URL"},
		"backslash and at sign":    {`https://evil.test\@acme.checkfront.com`, "not a valid URL"},
		"space before":             {" https://acme.checkfront.com", "spaces"},
		"space after":              {"https://acme.checkfront.com ", "spaces"},
		"newline":                  {"https://acme.checkfront.com\n", "spaces"},
		"NUL":                      {"https://evil.test\x00.checkfront.com", "control"},
		"encoded NUL":              {"https://evil.test%00.checkfront.com", "not a valid URL"},
		"the domain itself":        {"https://checkfront.com", `host "checkfront.com" is not allowed: want *.checkfront.com or checkfront.test`},
		"glued to the domain":      {"https://evilcheckfront.com", "is not allowed"},
		"domain as a subdomain":    {"https://checkfront.com.evil.test", "is not allowed"},
		"domain as a prefix":       {"https://acme.checkfront.community", "is not allowed"},
		"below an exact name":      {"https://x.checkfront.test", "is not allowed"},
		"empty label":              {"https://.checkfront.com", "not a valid host name"},
		"empty label inside":       {"https://a..checkfront.com", "not a valid host name"},
		"wildcard":                 {"https://*.checkfront.com", "not a valid host name"},
		"hyphen first":             {"https://-a.checkfront.com", "not a valid host name"},
		"long label":               {"https://" + strings.Repeat("a", 64) + ".checkfront.com", "not a valid host name"},
		"long name":                {"https://" + strings.Repeat("a.", 130) + "checkfront.com", "too long"},
		"trailing dot":             {"https://acme.checkfront.com.", "end with a dot"},
		"IDN":                      {"https://acmé.checkfront.com", "ASCII"},
		"homograph":                {"https://acme.сheckfront.com", "ASCII"},
		"full-width dot":           {"https://evil.test。checkfront.com", "ASCII"},
		"encoded letter":           {"https://acme.checkfront%2ecom", "not a valid URL"},
		"other port":               {"https://acme.checkfront.com:8443", "port 8443 is not allowed"},
		"empty port":               {"https://acme.checkfront.com:", "empty port"},
		"port with zeros":          {"https://acme.checkfront.com:0443", "1 to 65535"},
		"port 0":                   {"https://acme.checkfront.com:0", "1 to 65535"},
		"port too large":           {"https://acme.checkfront.com:65979", "1 to 65535"},
		"port as a word":           {"https://acme.checkfront.com:https", "not a valid URL"},
		"public address":           {"https://8.8.8.8", "must be a name"},
		"metadata address":         {"https://169.254.169.254/latest", "must be a name"},
		"IPv6":                     {"https://[2606:4700::1111]", "must be a name"},
		"IPv6 with a zone":         {"https://[fe80::1%25eth0]", "must be a name"},
		"IPv6 loopback, no port":   {"https://[::1]", "must be a name"},
		"NAT64 of an allowed one":  {"https://[64:ff9b::7f00:1]", "must be a name"},
		"short IPv4":               {"https://127.1", "not a valid host name"},
		"IPv4 as one number":       {"https://2130706433", "not a valid host name"},
		"IPv4 in hex":              {"https://0x7f000001", "not a valid host name"},
		"IPv4 in octal":            {"https://0177.0.0.1", "not a valid host name"},
		"allowed with other port":  {"https://sim.internal:8444", "is not allowed"},
		"allowed with no port":     {"http://sim.internal", "must begin with https://"},
		"allowed domain itself":    {"https://demo", "is not allowed"},
		"glued to an allowed name": {"https://xlocalhost", "is not allowed"},
		"IPv6 with a broken end":   {"https://[::1", "not a valid URL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := client.Guard(tt.url, checkfront)
			switch {
			case tt.problem == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.problem != "" && err == nil:
				t.Error("accepted")
			case tt.problem != "" && !strings.Contains(err.Error(), tt.problem):
				t.Errorf("error is %q, want %q in it", err, tt.problem)
			}
			wantNoSecret(t, err)
		})
	}
	if err := client.Guard("https://acme.checkfront.com", nil); err == nil {
		t.Error("accepted without a list of hosts")
	}
}

// FuzzGuard looks for a URL that passes and leads net/http elsewhere, and for an
// error that shows what it must not.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		"https://acme.checkfront.com/v2", "https://ACME.checkfront.com:443", "https://evilcheckfront.com",
		"https://user:pass@acme.checkfront.com", `https://evil.test\@acme.checkfront.com`, "https://[::1%25.checkfront.com]",
		"https://acme.checkfront.com%2eevil.test", "https://evil.test#@acme.checkfront.com", "https://acme.checkfront.com.",
	} {
		f.Add(seed, "apikey=1")
	}
	client, err := egress.New(egress.Settings{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw, query string) {
		guarded := client.Guard(raw, checkfront)
		if guarded == nil {
			wantHarmless(t, raw)
		}
		one, other := client.Guard(raw+"?"+query, checkfront), client.Guard(raw+"?", checkfront)
		if one == nil || other == nil || one.Error() != other.Error() {
			t.Errorf("the error depends on the query: %v, %v", one, other)
		}
	})
}

func wantHarmless(t *testing.T, raw string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, raw+"/oauth/token/", nil)
	if err != nil {
		t.Fatalf("%q was accepted and makes no request: %v", raw, err)
	}
	u := req.URL
	host := strings.ToLower(u.Hostname())
	if host != "checkfront.test" && (!strings.HasSuffix(host, ".checkfront.com") || len(host) <= len(".checkfront.com")) {
		t.Errorf("%q was accepted and leads to %q", raw, host)
	}
	if u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || (u.Port() != "" && u.Port() != "443") {
		t.Errorf("%q was accepted", raw)
	}
	if again, err := url.Parse(u.String()); err != nil || again.Host != u.Host {
		t.Errorf("%q was accepted and changes its host when it is written again", raw)
	}
}
