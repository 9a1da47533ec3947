package alerts

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	rulesFile     = "../../charts/refresher/files/rules.yaml"
	dashboardFile = "../../charts/refresher/files/dashboard.json"
	runbooks      = "../../docs/runbooks"
)

// rules is a Prometheus rules file.
type rules struct {
	Groups []group `yaml:"groups"`
}

type group struct {
	Name     string `yaml:"name"`
	Interval string `yaml:"interval,omitempty"`
	Rules    []rule `yaml:"rules"`
}

type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// load reads a YAML file that has no field but those of T.
func load[T any](t *testing.T, path string) T {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

// all returns the rules of all groups.
func (r rules) all() []rule {
	var out []rule
	for _, g := range r.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// alerts returns the alerting rules.
func (r rules) alerts() []rule {
	return slices.DeleteFunc(r.all(), func(r rule) bool { return r.Alert == "" })
}

// forTest returns the rule without the annotations that a test would have to
// repeat word for word; the summary stays, so that its template is run.
func (r rule) forTest() rule {
	r.Annotations = maps.Clone(r.Annotations)
	delete(r.Annotations, "description")
	delete(r.Annotations, "runbook_url")
	return r
}

// write stores a value as YAML in a folder.
func write(t *testing.T, dir, name string, content any) {
	t.Helper()
	text, err := yaml.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// program finds an installed program, or fails and says what to install.
func program(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("these tests need %s: apt-get install %s", name, debian)
	}
	return path
}

// promtool runs it in a folder; the error holds what it said.
func promtool(t *testing.T, dir string, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "promtool", "prometheus"), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("promtool %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func TestRulesAreValid(t *testing.T) {
	if err := promtool(t, ".", "check", "rules", rulesFile); err != nil {
		t.Error(err)
	}
}

var (
	alertName   = regexp.MustCompile(`^Refresher([A-Z][a-z]+)+$`)
	recordName  = regexp.MustCompile(`refresher:[a-z_]+:[a-z0-9]+`)
	fixedParts  = regexp.MustCompile(`\{\{.*?\}\}`)
	runbookPart = []string{"Meaning", "Impact", "Diagnosis", "Mitigation", "Verification"}
)

// TestAlertsAreComplete: whoever is woken learns what happened, to whom, and
// what to do, and the page says the rest.
func TestAlertsAreComplete(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(runbooks, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]bool{"README.md": true}
	for _, r := range load[rules](t, rulesFile).alerts() {
		page := r.Alert + ".md"
		if !alertName.MatchString(r.Alert) || pages[page] {
			t.Errorf("%s is no good name, or there twice", r.Alert)
		}
		pages[page] = true
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || len(r.Labels) != 1 {
			t.Errorf("%s has the labels %v, want one severity", r.Alert, r.Labels)
		}
		if got, want := slices.Sorted(maps.Keys(r.Annotations)), []string{"description", "runbook_url", "summary"}; !slices.Equal(got, want) {
			t.Errorf("%s has the annotations %v, want %v", r.Alert, got, want)
		}
		if got, want := r.Annotations["runbook_url"], "docs/runbooks/"+page; got != want {
			t.Errorf("%s has the page %q, want %q", r.Alert, got, want)
		}
		if summary := fixedParts.ReplaceAllString(r.Annotations["summary"], ""); !strings.HasSuffix(summary, ".") || len(summary) > 130 {
			t.Errorf("%s: the summary is no short sentence: %q", r.Alert, summary)
		}
		if len(r.Annotations["description"]) < 80 {
			t.Errorf("%s: the description says too little", r.Alert)
		}
		if strings.Contains(r.Expr, "provider)") && !strings.Contains(r.Annotations["summary"], "$labels.provider") {
			t.Errorf("%s: the summary does not name the provider", r.Alert)
		}
		checkPage(t, r)
		if want := fmt.Sprintf("[%s](%s) | %s |", r.Alert, page, r.Labels["severity"]); !strings.Contains(string(index), want) {
			t.Errorf("%s/README.md has no line with %q", runbooks, want)
		}
	}
	entries, err := os.ReadDir(runbooks)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !pages[entry.Name()] {
			t.Errorf("%s/%s belongs to no alert", runbooks, entry.Name())
		}
	}
}

// checkPage wants the five parts, in their order, each with something in it.
func checkPage(t *testing.T, r rule) {
	t.Helper()
	path := filepath.Join(runbooks, r.Alert+".md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%s has no page: %v", r.Alert, err)
		return
	}
	title, rest, _ := strings.Cut(string(page), "\n")
	if title != "# "+r.Alert {
		t.Errorf("%s begins with %q", path, title)
	}
	parts := strings.Split(rest, "\n## ")[1:]
	var names []string
	for _, part := range parts {
		name, text, _ := strings.Cut(part, "\n")
		names = append(names, name)
		if len(strings.TrimSpace(text)) < 40 {
			t.Errorf("%s: %q says nothing", path, name)
		}
	}
	if !slices.Equal(names, runbookPart) {
		t.Errorf("%s has the parts %q, want %q", path, names, runbookPart)
	}
}

// TestRecordsAreUsed: a recording rule is there for alerts, and an alert's is there.
func TestRecordsAreUsed(t *testing.T) {
	used := map[string]bool{}
	for _, r := range load[rules](t, rulesFile).alerts() {
		for _, name := range recordName.FindAllString(r.Expr, -1) {
			used[name] = true
		}
	}
	for _, r := range load[rules](t, rulesFile).all() {
		if r.Record != "" && !used[r.Record] {
			t.Errorf("no alert uses %s", r.Record)
		}
		delete(used, r.Record)
	}
	for name := range used {
		t.Errorf("an alert uses %s, which nobody records", name)
	}
}
