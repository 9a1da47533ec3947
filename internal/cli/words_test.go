package cli

import (
	"testing"
	"time"
)

func TestHuman(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0s"},
		{999 * time.Millisecond, "0s"},
		{59 * time.Second, "59s"},
		{time.Minute, "1m"},
		{-90 * time.Second, "1m30s"},
		{time.Hour + 59*time.Second, "1h"},
		{14000 * time.Second, "3h53m"},
		{24 * time.Hour, "1d"},
		{14*24*time.Hour - time.Second, "13d23h"},
	} {
		if got := human(tc.d); got != tc.want {
			t.Errorf("human(%v) is %q, not %q", tc.d, got, tc.want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	fields := []string{"api_key", "secret_key", "account_id", "client_secret"}
	for _, tc := range []struct{ written, want string }{
		{"apikey", "api_key"},
		{"apiKey", "api_key"},
		{"api_kye", "api_key"},
		{"secret", ""},
		{"client-secret", "client_secret"},
		{"acount_id", "account_id"},
		{"", ""},
		{"zzz", ""},
	} {
		if got := nearest(tc.written, fields); got != tc.want {
			t.Errorf("nearest(%q) is %q, not %q", tc.written, got, tc.want)
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	if got := clean("a\x1b[31m\n\tb\u202e\xff"); got != "a?[31m  b?\ufffd" {
		t.Errorf("%q", got)
	}
	for name, want := range map[string]string{"acme": "acme", "Été": "Été", "a b": "a b", "a ": `"a "`, "": `""`, "a\nb": `"a\nb"`} {
		if got := plainName(name); got != want {
			t.Errorf("plainName(%q) is %s, not %s", name, got, want)
		}
	}
}

func TestJoinOr(t *testing.T) {
	t.Parallel()
	if got := joinOr([]string{"a", "b", "c"}); got != "a, b or c" {
		t.Error(got)
	}
	if got := joinOr([]string{"a"}); got != "a" {
		t.Error(got)
	}
}
