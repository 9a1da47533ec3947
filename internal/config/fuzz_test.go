package config

import (
	"bytes"
	"os"
	"path/filepath"
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
