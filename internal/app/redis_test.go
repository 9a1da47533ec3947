package app_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"refresher/internal/app"
	"refresher/internal/config"
	"refresher/internal/credential"
)

// TestRedisTLS: what is set of TLS counts with a URL that asks for TLS, too.
func TestRedisTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		url string
		tls config.RedisTLS
		on  bool
	}{
		"plain":                 {url: "redis://redis.example:6379"},
		"by the URL":            {url: "rediss://redis.example:6379", on: true},
		"by the URL, own CA":    {url: "rediss://redis.example:6379", tls: config.RedisTLS{CACert: ca, ServerName: "other.example"}, on: true},
		"by the setting":        {url: "redis://redis.example:6379", tls: config.RedisTLS{Enabled: true}, on: true},
		"by the setting, no CA": {url: "redis://redis.example:6379", tls: config.RedisTLS{Enabled: true, ServerName: "other.example"}, on: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := app.Redis(config.Redis{URL: credential.Secret(tc.url), TLS: tc.tls})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			got := client.(*redis.Client).Options().TLSConfig
			if (got != nil) != tc.on {
				t.Fatalf("TLS is on: %t, want %t", got != nil, tc.on)
			}
			if tc.on && ((got.RootCAs != nil) != (tc.tls.CACert != "") || tc.tls.ServerName != "" && got.ServerName != tc.tls.ServerName) {
				t.Errorf("the name is %q, and a CA of its own is there: %t", got.ServerName, got.RootCAs != nil)
			}
		})
	}
	_, err := app.Redis(config.Redis{URL: "rediss://redis.example", TLS: config.RedisTLS{CACert: "/nowhere/ca.pem"}})
	if err == nil || !strings.Contains(err.Error(), "redis.tls.ca_cert") {
		t.Errorf("error is %v, want one of the CA's file", err)
	}
}
