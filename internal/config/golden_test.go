package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it); got:\n%s", file, got)
	}
}

// TestCases loads each file of testdata/cases, with the environment and the
// flags that its comments name, and compares what is said about it.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/cases/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".yaml")
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			options := caseOptions(t, file)
			said := verdict(Load(options))
			if strings.Contains(said, "hunter2") {
				t.Errorf("a secret is shown:\n%s", said)
			}
			if again := verdict(Load(options)); again != said {
				t.Errorf("the second time it is another:\n%s", again)
			}
			golden(t, name+".golden", []byte(said))
		})
	}
}

func caseOptions(t *testing.T, file string) Options {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{File: file}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if entry, ok := strings.CutPrefix(line, "# env: "); ok {
			o.Environ = append(o.Environ, entry)
		}
		if set, ok := strings.CutPrefix(line, "# set: "); ok {
			o.Sets = append(o.Sets, set)
		}
	}
	return o
}

func verdict(c Config, sources Sources, err error) string {
	if err != nil {
		return err.Error() + "\n"
	}
	said := "valid\n"
	for _, warning := range Warnings(c, sources) {
		said += "warning: " + warning.String() + "\n"
	}
	return said
}

func TestPrintGolden(t *testing.T) {
	t.Parallel()
	c, sources, err := Load(Options{
		File: "testdata/full.yaml",
		Environ: []string{
			"VAULT_TOKEN=hunter2", "REFRESHER_VAULT_MOUNT=kv/team", "VAULT_NAMESPACE=", "REFRESHER_EGRESS_ALLOW=localhost, 127.0.0.1:8080",
		},
		Sets: []string{"providers.kibo.tls_compat=true", "http.listen=[::1]:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Print(&out, c, sources); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/print.golden", out.Bytes())
}

func TestReferenceGolden(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Reference(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/reference.golden", out.Bytes())
}
