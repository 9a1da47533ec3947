package chart

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestChartMetadata reads what Artifact Hub shows of the chart.
func TestChartMetadata(t *testing.T) {
	t.Parallel()
	chart := readYAML(t, filepath.Join(chartDir, "Chart.yaml"))
	annotation := func(name string) string { return at[string](chart, "annotations", "artifacthub.io/"+name) }
	if license := annotation("license"); license != "Apache-2.0" || !strings.Contains(read(t, "../../LICENSE"), "Apache License") {
		t.Errorf("the license is %q", license)
	}
	if version := at[string](chart, "version"); strings.HasPrefix(version, "0.") != (annotation("prerelease") == "true") {
		t.Errorf("version %s is a prerelease: %s", version, annotation("prerelease"))
	}
	var changes []struct{ Kind, Description string }
	list(t, annotation("changes"), &changes)
	for _, change := range changes {
		if !slices.Contains([]string{"added", "changed", "deprecated", "removed", "fixed", "security"}, change.Kind) || change.Description == "" {
			t.Errorf("a change is %+v", change)
		}
	}
	var images []struct{ Name, Image string }
	list(t, annotation("images"), &images)
	all := mustTemplate(t, "--set", "redis.dev.enabled=true")
	for _, image := range images {
		if !strings.Contains(all, image.Image) {
			t.Errorf("nothing runs %s", image.Image)
		}
	}
	for _, key := range []string{"home", "sources", "icon"} {
		if chart[key] != nil {
			t.Errorf("%s is set: has the project got a public address? Then say so in README.md too", key)
		}
	}
}

// list reads a list out of an annotation.
func list[T any](t *testing.T, text string, into *[]T) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil || len(*into) == 0 {
		t.Errorf("an annotation is no list, or empty: %v: %q", err, text)
	}
}

// TestReadmeIsTrue holds what the chart's README.md says of an upgrade and an uninstall
// against the chart.
func TestReadmeIsTrue(t *testing.T) {
	t.Parallel()
	readme := read(t, filepath.Join(chartDir, "README.md.gotmpl"))
	if strings.Contains(readme, "--reuse-values") {
		t.Error("--reuse-values keeps the old chart's defaults, and docs/upgrade.md warns of it")
	}
	for _, say := range []string{"persistence.enabled=false", "condition: refresher.enabled"} {
		if !strings.Contains(readme, say) {
			t.Errorf("it says nothing of %s", say)
		}
	}
	// Helm leaves hooks behind that it does not delete before the next.
	text, err := helm(t, "template", "refresher", chartDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects(t, text) {
		name := at[string](o, "metadata", "name")
		if at[string](o, "metadata", "annotations", "helm.sh/hook") != "" && !strings.Contains(readme, "kubectl delete pod "+name) {
			t.Errorf("it does not say that %s %s stays after an uninstall", o["kind"], name)
		}
	}
}
