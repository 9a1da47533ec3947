package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestManifests renders the chart for each of its ci values files, which must pass
// Helm's linter, and compares with the golden manifests.
func TestManifests(t *testing.T) {
	t.Parallel()
	for _, c := range cases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if out, err := helm(t, "lint", "--strict", "--quiet", chartDir, "--values="+c.file); err != nil || out != "" {
				t.Errorf("helm lint says %v: %s", err, out)
			}
			golden(t, filepath.Join("testdata", c.name+".yaml"), abridge(mustTemplate(t, "--values="+c.file)))
		})
	}
}

// abridge leaves out of manifests what the chart carries over from files/ as it is: the
// tests of the rules and of the dashboard look at it.
func abridge(manifests string) string {
	manifests = regexp.MustCompile(`(?m)^  groups:\n(    .*\n)+`).ReplaceAllString(manifests, "  groups: (files/rules.yaml)\n")
	return regexp.MustCompile(`(?m)^  refresher.json: \|\n(    .*\n)+`).ReplaceAllString(manifests, "  refresher.json: (files/dashboard.json)\n")
}

// TestGoldenFilesAreUsed finds golden files of which the ci values file is gone.
func TestGoldenFilesAreUsed(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var wanted []string
	for _, c := range cases(t) {
		wanted = append(wanted, c.name+".yaml")
	}
	for _, name := range notesCases {
		wanted = append(wanted, name+".notes")
	}
	for _, entry := range entries {
		if !slices.Contains(wanted, entry.Name()) {
			t.Errorf("testdata/%s is of no test: delete it", entry.Name())
		}
	}
}

// notesCases are those in which Helm has something else to say after an install.
var notesCases = []string{
	"approle", "config", "custom-login", "default", "emptydir", "networkpolicy", "prometheusrule", "redis-cluster", "redis-dev", "redis-sentinel",
	"redis-url", "serviceaccount", "single",
}

// TestNotes compares what Helm says after an install with the golden notes.
func TestNotes(t *testing.T) {
	t.Parallel()
	for _, name := range notesCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, filepath.Join("testdata", name+".notes"), notes(t, "--values="+filepath.Join(chartDir, "ci", name+"-values.yaml"))+"\n")
		})
	}
}
