package config_test

import (
	"testing"

	"refresher/internal/config"
)

func TestHash(t *testing.T) {
	t.Parallel()
	load := func(sets ...string) uint64 {
		t.Helper()
		c, _, err := config.Load(config.Options{
			Env:  func(string) (string, bool) { return "", false },
			Sets: append([]string{"vault.address=https://vault.example.com"}, sets...),
		})
		if err != nil {
			t.Fatal(err)
		}
		return config.Hash(c)
	}
	base := load("vault.token=one")
	for name, tc := range map[string]struct {
		hash uint64
		same bool
	}{
		"the same":               {load("vault.token=one"), true},
		"another secret":         {load("vault.token=two"), true},
		"another limit":          {load("vault.token=one", "renewal.in_flight_bound=11m"), false},
		"a default, spelt out":   {load("vault.token=one", "renewal.in_flight_bound=600s"), true},
		"another list":           {load("vault.token=one", "egress.allow=localhost"), false},
		"without the secret":     {load("vault.token_file=/token"), false},
		"metrics per credential": {load("vault.token=one", "metrics.per_credential=true"), false},
	} {
		if (tc.hash == base) != tc.same {
			t.Errorf("%s: the same hash: %v, want %v", name, tc.hash == base, tc.same)
		}
	}
}
