package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const canary = "hunter2"

// TestSecretsAreNotPrinted sets every secret, and looks for it in everything
// that shows a configuration.
func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	l := newLoader()
	for i := range l.schema.keys {
		if k := &l.schema.keys[i]; k.Secret {
			l.setText(k, strings.ReplaceAll(sample(*k), "some text", canary), SourceFlag)
			k.value(&l.config).SetString(strings.ReplaceAll(k.value(&l.config).String(), "u:p@", canary+":"+canary+"@"))
		}
	}
	var out bytes.Buffer
	if err := Print(&out, l.config, l.sources); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%v %+v %#v", l.config, l.config, l.config)
	if err := json.NewEncoder(&out).Encode(l.config); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), canary) {
		t.Errorf("a secret is shown:\n%s", out.String())
	}
	if n := strings.Count(out.String(), shownSecret); n < 6 {
		t.Errorf("only %d secrets were set", n)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	url := &Key{Secret: true, check: "redis_url"}
	tests := map[string]struct {
		key        *Key
		text, want string
	}{
		"empty":            {url, "", ""},
		"plain secret":     {&Key{Secret: true}, "redis://localhost", "[redacted]"},
		"nothing secret":   {url, "redis://localhost:6379/3", "redis://localhost:6379/3"},
		"password":         {url, "rediss://:hunter2@localhost:6379", "rediss://[redacted]@localhost:6379"},
		"user only":        {url, "redis://hunter2@localhost", "redis://[redacted]@localhost"},
		"query":            {url, "redis://localhost?password=hunter2", "redis://localhost?[redacted]"},
		"socket":           {url, "unix:///run/redis.sock", "[redacted]"},
		"slash in it":      {url, "redis://:12/hunter2@localhost", "[redacted]"},
		"number and slash": {url, "redis://:12/34@localhost", "[redacted]"},
		"hash in it":       {url, "redis://hunter2#x@localhost", "[redacted]"},
		"question mark":    {url, "redis://hunter2?x@localhost", "[redacted]"},
		"at sign in it":    {url, "redis://:hun@ter2@localhost", "[redacted]"},
		"no URL":           {url, "hunter2 ://", "[redacted]"},
	}
	for name, test := range tests {
		if got := test.key.redact(test.text); got != test.want {
			t.Errorf("%s: %q is shown as %q, want %q", name, test.text, got, test.want)
		}
	}
}

// TestSecretsAreNotInErrors sets every key to a secret in wrong ways, since
// people put secrets where they do not belong.
func TestSecretsAreNotInErrors(t *testing.T) {
	t.Parallel()
	root := newSchema().root
	for _, value := range []string{
		"[[" + canary + "]]", "{" + canary + "}", "{" + canary + ": 1}", "!" + canary + " x", "*" + canary, "&" + canary + " [", "%" + canary, `"redis://u:` + canary + `@host:port"`,
	} {
		_, _, err := Load(Options{File: write(t, fileOf(root, 0, func(*Key) string { return value }))})
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s everywhere says %v", value, err)
		}
	}
	for _, value := range []string{`"` + canary + `\n"`, `"` + canary + `\t"`, `"[redacted]` + canary + `"`, "'://" + canary + "'", `"%` + canary + `"`, "[" + canary + "]"} {
		_, _, err := Load(Options{File: write(t, fileOf(root, 0, func(k *Key) string {
			if k.Secret {
				return value
			}
			return "1"
		}))})
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s in every secret says %v", value, err)
		}
	}
	o := Options{}
	for _, k := range Keys() {
		o.Environ = append(o.Environ, k.Env+"=redis://u:"+canary+"@host:port")
		o.Sets = append(o.Sets, k.Path+":"+canary, k.Path+"=redis://u:"+canary+"@host:port")
	}
	if _, _, err := Load(o); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("environment and flags say %v", err)
	}
}

// fileOf writes a file with all keys.
func fileOf(n *node, depth int, value func(*Key) string) string {
	var b strings.Builder
	for _, c := range n.children {
		b.WriteString(strings.Repeat("  ", depth) + c.name + ": ")
		if c.key != nil {
			b.WriteString(value(c.key) + "\n")
		} else {
			b.WriteString("\n" + fileOf(c, depth+1, value))
		}
	}
	return b.String()
}

// TestPrintLoads reads what Print wrote of odd texts, and of every other key
// set to something. Whether the texts mean anything is left out.
func TestPrintLoads(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{"plain", `a: 'b' "c" # d`, "- x", "null", "true", "0x10", "~", "<<", " spaces ", "é\u2028日本", "@every 1s", "*x", "&x", "%x", "?", "[a, b]", "{a: b}", strings.Repeat("long ", 60)} {
		t.Run(odd, func(t *testing.T) {
			t.Parallel()
			l, back := unchecked(), unchecked()
			for i := range l.schema.keys {
				switch k := &l.schema.keys[i]; {
				case k.typ == reflect.TypeFor[string]():
					l.set(k, []string{odd}, SourceFlag)
				case k.elem() == reflect.TypeFor[string]():
					l.set(k, []string{odd, odd}, SourceFlag)
				case !k.Secret:
					l.setText(k, sample(*k), SourceFlag)
				}
			}
			if len(l.problems) > 0 {
				t.Fatal(l.problems)
			}
			var out bytes.Buffer
			if err := Print(&out, l.config, l.sources); err != nil {
				t.Fatal(err)
			}
			if !back.yaml("printed", out.Bytes()) || len(back.problems) > 0 {
				t.Fatalf("%v\n%s", back.problems, out.String())
			}
			if changed := differences(back.config, l.config); len(changed) > 0 {
				t.Errorf("%v came back as another:\n%s", changed, out.String())
			}
		})
	}
}

// unchecked returns a loader that takes any text for a text.
func unchecked() *loader {
	l := newLoader()
	for i := range l.schema.keys {
		for _, k := range []*Key{&l.schema.keys[i], l.schema.byPath[l.schema.keys[i].Path].key} {
			k.check, k.oneOf = "", nil
		}
	}
	return l
}
