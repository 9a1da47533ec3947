package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	token := func(status string, generation int, lives time.Duration, message string) published {
		p := published{Provider: "kibo", Auth: "client_credentials", Status: status, Generation: generation, Message: message}
		if lives > 0 {
			p.ExpiresAt = now.Add(lives)
		}
		return p
	}
	for name, tc := range map[string]struct {
		before, after published
		verb, text    string // no verb: nothing to say
	}{
		"first":            {published{}, token(statusActive, 1, 12*time.Second, ""), "first token", "good for 12s"},
		"first of a key":   {published{}, token(statusActive, 1, 0, ""), "first token", "does not expire"},
		"nothing new":      {token(statusActive, 1, time.Second, ""), token(statusActive, 1, time.Second, ""), "", ""},
		"renewed":          {token(statusActive, 1, time.Second, ""), token(statusActive, 2, 12*time.Second, ""), "renewed", "generation 2"},
		"renewed late":     {token(statusRetrying, 1, time.Second, "x"), token(statusActive, 2, 12*time.Second, ""), "renewed", "generation 2"},
		"kept alive":       {token(statusActive, 1, time.Second, ""), token(statusActive, 1, 12*time.Second, ""), "kept alive", "another 12s"},
		"retrying":         {token(statusActive, 1, time.Second, ""), token(statusRetrying, 1, time.Second, "busy"), "retrying", "busy"},
		"still retrying":   {token(statusRetrying, 1, time.Second, "busy"), token(statusRetrying, 1, time.Second, "busier"), "", ""},
		"expired":          {token(statusRetrying, 1, time.Second, "busy"), token(statusExpired, 1, 0, "late"), "expired", "late"},
		"never worked":     {published{}, token(statusMisconfigured, 0, 0, "wrong"), "NEEDS A PERSON", "misconfigured: wrong"},
		"wrong otherwise":  {token(statusMisconfigured, 0, 0, "wrong"), token(statusMisconfigured, 0, 0, "wronger"), "NEEDS A PERSON", "wronger"},
		"dead":             {token(statusRetrying, 1, 0, ""), token(statusNeedsAuthorization, 1, 0, "log in"), "NEEDS A PERSON", "needs_authorization: log in"},
		"healed":           {token(statusNeedsAuthorization, 1, 0, "log in"), token(statusActive, 2, 12*time.Second, ""), "ALIVE AGAIN", "generation 2"},
		"corrected":        {token(statusMisconfigured, 0, 0, "wrong"), token(statusActive, 1, 12*time.Second, ""), "ALIVE AGAIN", "generation 1"},
		"good all along":   {token(statusRetrying, 1, time.Second, "x"), token(statusActive, 1, time.Second, ""), "active again", ""},
		"paused, the rest": {token(statusActive, 1, time.Second, ""), token("paused", 1, time.Second, "by a person"), "paused", "by a person"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, ok := change{before: tc.before, after: tc.after, now: now}.words()
			if ok != (tc.verb != "") || e.verb != tc.verb || !strings.Contains(e.text, tc.text) {
				t.Errorf("says %q %q (%v), want %q %q", e.verb, e.text, ok, tc.verb, tc.text)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 11600 * time.Millisecond: "12s", 90 * time.Minute: "90m", 14 * 24 * time.Hour: "336h",
	} {
		if got := left(now.Add(d), now); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
	if got := left(time.Time{}, now); got != "-" {
		t.Errorf("no expiry is %q", got)
	}
	for d, want := range map[time.Duration]string{99900 * time.Millisecond: "99.9s", 125 * time.Second: "2m05s", 70 * time.Minute: "70m00s"} {
		if got := since(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text         string
		width, limit int
		want         []string
	}{
		"one line":  {"a b c", 10, 3, []string{"a b c"}},
		"two lines": {"one two three", 8, 3, []string{"one two", "three"}},
		"cut":       {"one two three four", 9, 1, []string{"one t ..."}},
		"long word": {"extraordinary", 5, 2, []string{"extraordinary"}},
		"empty":     {"", 5, 2, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := wrap(tc.text, tc.width, tc.limit); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if got := flow([]string{"aa", "bb", "cc"}, " | ", 7); !slices.Equal(got, []string{"aa | bb", "cc"}) {
		t.Errorf("flow makes %q", got)
	}
}

func TestLooks(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env  map[string]string
		want looks
	}{
		"nothing":         {nil, looks{color: true}},
		"UTF-8":           {map[string]string{"LANG": "de_DE.UTF-8"}, looks{color: true, unicode: true}},
		"utf8":            {map[string]string{"LC_ALL": "C.utf8"}, looks{color: true, unicode: true}},
		"LC_ALL wins":     {map[string]string{"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, looks{color: true}},
		"LC_CTYPE wins":   {map[string]string{"LC_CTYPE": "C.UTF-8", "LANG": "C"}, looks{color: true, unicode: true}},
		"NO_COLOR is set": {map[string]string{"NO_COLOR": "1", "LANG": "C.UTF-8"}, looks{unicode: true}},
	} {
		if got := looksOf(func(name string) string { return tc.env[name] }); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
	}
}
