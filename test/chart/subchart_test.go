package chart

import (
	"os"
	"path/filepath"
	"testing"
)

// TestConditionalDependency has a chart around this one switch it on and off, as
// "condition: refresher.enabled" does: Helm then has that key among this chart's values.
func TestConditionalDependency(t *testing.T) {
	t.Parallel()
	const around = `apiVersion: v2
name: around
version: 1.0.0
dependencies:
  - {name: refresher, version: ">=0.0.0-0", repository: "", condition: refresher.enabled}
`
	tests := map[string]struct {
		values string
		want   bool
	}{
		"on":      {`refresher: {enabled: true}`, true},
		"off":     {`refresher: {enabled: false, vault: {address: none}}`, false},
		"unsaid":  {`refresher: {}`, true},
		"emptied": {`refresher: {enabled: true, config: null, startupProbe: null}`, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, text := range map[string]string{"Chart.yaml": around, "values.yaml": test.values} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.CopyFS(filepath.Join(dir, "charts/refresher"), os.DirFS(chartDir)); err != nil {
				t.Fatal(err)
			}
			text, err := template(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(objects(t, text)) > 0; got != test.want {
				t.Errorf("it is there: %t, want %t", got, test.want)
			}
		})
	}
}
