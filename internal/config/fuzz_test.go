package config

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzYAML gives the loader files of any kind. It must not crash, must say the
// same twice, and what it accepts must come back from Print.
func FuzzYAML(f *testing.F) {
	files, err := filepath.Glob("testdata/cases/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no cases: %v", err)
	}
	for _, file := range append(files, "testdata/full.yaml", "testdata/print.golden") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := loadYAML(data)
		if again := loadYAML(data).problems.Error(); again != l.problems.Error() {
			t.Fatalf("first\n%s\nthen\n%s", l.problems.Error(), again)
		}
		if len(l.problems) == 0 {
			comesBack(t, l)
		}
	})
}

func loadYAML(data []byte) *loader {
	l := newLoader()
	if l.yaml("file.yaml", data) {
		l.rules()
	}
	return l
}

// comesBack prints a configuration and reads it again, unless something in it is redacted.
func comesBack(t *testing.T, l *loader) {
	t.Helper()
	var out bytes.Buffer
	if err := Print(&out, l.config, l.sources); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(out.Bytes(), []byte(shownSecret)) {
		return
	}
	back := loadYAML(out.Bytes())
	if len(back.problems) > 0 {
		t.Fatalf("what was printed is refused: %s\n%s", back.problems.Error(), out.String())
	}
	if changed := differences(l.config, back.config); len(changed) > 0 {
		t.Fatalf("%v came back as another:\n%s", changed, out.String())
	}
}

// FuzzEnvironment sets any variable of ours to anything. It must not crash, what
// it accepts must come back from Print, and no error may show the value of a secret.
func FuzzEnvironment(f *testing.F) {
	f.Add("REFRESHER_REDIS_PASSWORD", "hunter2-hunter2")
	f.Add("REFRESHER_REDIS_PASSWORD", "hunter2-hunter2\n")
	f.Add("REFRESHER_RENEWAL_INTERVAL", "65%")
	f.Add("REFRESHER_RENEWAL_CONFIRM_REFUSALS", "1m, 5m,")
	f.Add("REFRESHER_EGRESS_ALLOW", "*.example.com,10.0.0.0/8,[::1]:443")
	f.Add("REFRESHER_EGRESS_PROXY", "http://u:hunter2-hunter2@proxy:3128")
	f.Add("REDIS_URL", "rediss://:hunter2-hunter2@redis:6379/x")
	f.Add("REFRESHER_SCHEDULER_SCAN", "@every 0s")
	f.Add("REFRESHER_PORT", "tcp://10.0.0.1:8080")
	f.Add("REFRESHER_REDIS_PASSWROD", "hunter2-hunter2")
	f.Fuzz(func(t *testing.T, name, value string) {
		name, value, _ = strings.Cut(name+"="+value, "=") // where a name ends
		l := loadVariable(name, value)
		if len(l.problems) == 0 {
			comesBack(t, l)
			return
		}
		// A variable that is none of ours may hold a secret, too. What is said of any value
		// shows none.
		k, shown := l.keyOf(name), strings.TrimSpace(value)
		secret := (k == nil || k.Secret) && len(shown) >= 12 && !strings.Contains(name, shown)
		if secret && strings.Contains(l.problems.Error(), shown) && !strings.Contains(loadVariable(name, "://").problems.Error(), shown) {
			t.Errorf("a secret is shown: %s", l.problems.Error())
		}
	})
}

func loadVariable(name, value string) *loader {
	l, environ := newLoader(), []string{name + "=" + value}
	l.environment(lookup(environ))
	l.strangers(environ)
	l.rules()
	return l
}

// keyOf returns the key that a variable sets, nil if there is none.
func (l *loader) keyOf(variable string) *Key {
	for i := range l.schema.keys {
		if k := &l.schema.keys[i]; k.Env == variable || slices.Contains(k.Aliases, variable) {
			return k
		}
	}
	return nil
}

// FuzzDuration and FuzzFraction: what is read is within its bounds, and is written
// in a form that is read as the same.
func FuzzDuration(f *testing.F) {
	for _, text := range []string{"90s", "14d", "1d12h", "1h0m5s", "3650d24h", "-0s", "1e9h", "0d", "9223372036854775807d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if back, err := ParseDuration(FormatDuration(d)); err != nil || back != d || d < 0 || d > maxDays*day {
			t.Errorf("%q is %v, written as %q and read as %v, %v", text, d, FormatDuration(d), back, err)
		}
	})
}

func FuzzFraction(f *testing.F) {
	for _, text := range []string{"65%", "0.65", " 7 %", "1e-300", "100.0000001%", "-0", "nan", "0x1p-2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fraction, err := parseFraction(text)
		if err != nil {
			return
		}
		if back, err := parseFraction(formatFraction(fraction)); err != nil || back != fraction || fraction < 0 || fraction > 1 {
			t.Errorf("%q is %v, written as %q and read as %v, %v", text, float64(fraction), formatFraction(fraction), float64(back), err)
		}
	})
}
