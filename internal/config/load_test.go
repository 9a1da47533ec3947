package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	const alias, env = "VAULT_ADDR=https://alias", "REFRESHER_VAULT_ADDRESS=https://env"
	file := write(t, "vault:\n  address: https://file\n")
	tests := map[string]struct {
		options Options
		want    string
		source  Source
	}{
		"nothing":            {Options{}, "", SourceDefault},
		"file":               {Options{File: file}, "https://file", Source("file " + file + ":2")},
		"alias over file":    {Options{File: file, Environ: []string{alias}}, "https://alias", "env VAULT_ADDR"},
		"name over alias":    {Options{File: file, Environ: []string{env, alias}}, "https://env", "env REFRESHER_VAULT_ADDRESS"},
		"flag over all":      {Options{File: file, Environ: []string{env, alias}, Sets: []string{"vault.address=https://flag"}}, "https://flag", SourceFlag},
		"last flag":          {Options{Sets: []string{"vault.address=https://one", "vault.address=https://two"}}, "https://two", SourceFlag},
		"flag empties":       {Options{File: file, Sets: []string{"vault.address="}}, "", SourceFlag},
		"empty is not set":   {Options{File: file, Environ: []string{"REFRESHER_VAULT_ADDRESS=", "VAULT_ADDR="}}, "https://file", Source("file " + file + ":2")},
		"empty name, alias":  {Options{Environ: []string{"REFRESHER_VAULT_ADDRESS=", alias}}, "https://alias", "env VAULT_ADDR"},
		"hidden bad alias":   {Options{Environ: []string{env, "VAULT_ADDR=not a URL"}}, "https://env", "env REFRESHER_VAULT_ADDRESS"},
		"file by variable":   {Options{Environ: []string{"REFRESHER_CONFIG=" + file}}, "https://file", Source("file " + file + ":2")},
		"file over variable": {Options{File: file, Environ: []string{"REFRESHER_CONFIG=/nowhere"}}, "https://file", Source("file " + file + ":2")},
		"look-up function": {Options{Env: func(name string) (string, bool) {
			return "https://looked-up", name == "VAULT_ADDR"
		}}, "https://looked-up", "env VAULT_ADDR"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, sources, err := Load(test.options)
			if err != nil {
				t.Fatal(err)
			}
			if c.Vault.Address != test.want || sources["vault.address"] != test.source {
				t.Errorf("got %q from %q, want %q from %q", c.Vault.Address, sources["vault.address"], test.want, test.source)
			}
		})
	}
}

// sample returns a valid text for a key that is not its default.
func sample(k Key) string {
	switch {
	case len(k.oneOf) > 0:
		return k.oneOf[len(k.oneOf)-1]
	case k.check != "":
		return map[string]string{
			"host_port": "example.com:1234", "host": "example.com", "vault_path": "some/path", "vault_url": "https://example.com", "redis_url": "rediss://u:p@example.com/1",
			"redis_key": "some:key", "proxy_url": "http://u:p@example.com:1080", "cron": "@every 7s",
		}[k.check]
	case k.elem() == durationType:
		return "7m7s"
	case k.elem() == fractionType:
		return "33.3%"
	case k.elem().Kind() == reflect.Bool:
		return "true"
	case k.elem().Kind() == reflect.String:
		return "some text"
	default:
		return "17"
	}
}

// TestEveryKey sets each key in each way, by itself, and sees it set.
func TestEveryKey(t *testing.T) {
	t.Parallel()
	for _, k := range Keys() {
		text := sample(k)
		value := "'" + text + "'"
		if k.isList() {
			value = "[" + value + ", '" + text + "']"
		}
		ways := map[string]func(l *loader){
			k.Env:    func(l *loader) { l.environment(lookup([]string{k.Env + "=" + text})) },
			"--set":  func(l *loader) { l.flags([]string{k.Path + "=" + text}) },
			"a file": func(l *loader) { l.yaml("file", []byte(nested(k.Path, value))) },
		}
		for _, alias := range k.Aliases {
			ways[alias] = func(l *loader) { l.environment(lookup([]string{alias + "=" + text})) }
		}
		for way, set := range ways {
			l := newLoader()
			set(l)
			if len(l.problems) > 0 {
				t.Errorf("%s by %s: %v", k.Path, way, l.problems)
				continue
			}
			if got := formatAll(k.value(&l.config)); got[0] != text {
				t.Errorf("%s by %s is %q, want %q", k.Path, way, got, text)
			}
			if l.sources[k.Path] == SourceDefault {
				t.Errorf("%s by %s still says that it is the default", k.Path, way)
			}
			if changed := differences(l.config, Default()); !slices.Equal(changed, []string{k.Path}) {
				t.Errorf("%s by %s changed %v", k.Path, way, changed)
			}
		}
	}
}

// nested writes a key at its place in a file.
func nested(path, value string) string {
	var b strings.Builder
	for i, part := range strings.Split(path, ".") {
		b.WriteString("\n" + strings.Repeat("  ", i) + part + ":")
	}
	return b.String() + " " + value + "\n"
}

// differences returns the keys in which two configurations differ.
func differences(a, b Config) []string {
	var paths []string
	for _, k := range Keys() {
		if !slices.Equal(formatAll(k.value(&a)), formatAll(k.value(&b))) {
			paths = append(paths, k.Path)
		}
	}
	return paths
}

func TestLists(t *testing.T) {
	t.Parallel()
	tests := map[string][]time.Duration{"1m": {time.Minute}, " 1m , 5m ": {time.Minute, 5 * time.Minute}, "1d,2d": {day, 2 * day}}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			c, _, err := Load(Options{Environ: []string{"REFRESHER_RENEWAL_CONFIRM_REFUSALS=" + text}})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(c.Renewal.ConfirmRefusals, want) {
				t.Errorf("got %v, want %v", c.Renewal.ConfirmRefusals, want)
			}
		})
	}
	c, _, err := Load(Options{File: write(t, "egress: {allow: [a, b]}"), Sets: []string{"egress.allow="}})
	if err != nil || len(c.Egress.Allow) != 0 {
		t.Errorf("a list emptied by flag is %v, %v", c.Egress.Allow, err)
	}
	if _, _, err := Load(Options{Sets: []string{"egress.allow=a,,b"}}); err == nil {
		t.Error("an empty entry was accepted")
	}
}

func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ file, want string }{
		"missing":                {"/nowhere/config.yaml", "configuration: /nowhere/config.yaml: cannot be opened: no such file or directory"},
		"directory":              {"/", "configuration: /: cannot be read: is a directory"},
		"too large":              {write(t, "#"+strings.Repeat("x", maxFile)), "is larger than 1 MiB"},
		"line break in the name": {"a\nb", `configuration: "a\nb": cannot be opened: no such file or directory`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The flag breaks a rule, and that would mislead while the file is not read.
			_, _, err := Load(Options{File: test.file, Sets: []string{"redis.mode=cluster"}})
			if problems, ok := errors.AsType[Problems](err); !ok || len(problems) != 1 || !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestRequireVault(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		sets    []string
		method  string
		missing []string
	}{
		"nothing":    {nil, "", []string{"vault.address", "vault.auth.method"}},
		"no login":   {[]string{"vault.address=https://v"}, "", []string{"vault.auth.method"}},
		"no address": {[]string{"vault.token=t"}, AuthToken, []string{"vault.address"}},
		"token":      {[]string{"vault.address=https://v", "vault.token=t", "vault.token_file=f"}, AuthToken, nil},
		"token file": {[]string{"vault.address=https://v", "vault.token_file=f", "vault.auth.approle.role_id=r"}, AuthTokenFile, nil},
		"approle":    {[]string{"vault.address=https://v", "vault.auth.approle.role_id=r", "vault.auth.kubernetes.role=r"}, AuthAppRole, nil},
		"kubernetes": {[]string{"vault.address=https://v", "vault.auth.kubernetes.role=r"}, AuthKubernetes, nil},
		"explicit":   {[]string{"vault.address=https://v", "vault.token=t", "vault.auth.kubernetes.role=r", "vault.auth.method=kubernetes"}, AuthKubernetes, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, err := Load(Options{Sets: test.sets})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Vault.AuthMethod(); got != test.method {
				t.Errorf("the method is %q, want %q", got, test.method)
			}
			var missing []string
			problems, _ := errors.AsType[Problems](c.RequireVault())
			for _, p := range problems {
				missing = append(missing, p.Path)
			}
			if !slices.Equal(missing, test.missing) {
				t.Errorf("missing is %v, want %v", missing, test.missing)
			}
		})
	}
}

func TestRedisEnabled(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]bool{"log.level=info": false, "redis.url=redis://localhost:6379": true, "redis.addresses=localhost:6379": true} {
		c, _, err := Load(Options{Sets: []string{set}})
		if err != nil || c.Redis.Enabled() != want {
			t.Errorf("%s: enabled is %v, %v", set, c.Redis.Enabled(), err)
		}
	}
}
