package alerts

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/renewal"
)

// metricsPage is generated from the declarations of internal/metrics, and CI
// checks that it is as they are.
const metricsPage = "../../docs/metrics.md"

// metric is what the page says of one.
type metric struct {
	kind   string
	labels []string
}

var (
	metricRow  = regexp.MustCompile("^\\| `(refresher_[a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\|")
	quoted     = regexp.MustCompile("`([a-z_]+)`")
	metricName = regexp.MustCompile(`\brefresher_[a-z_]+\b`)
	selector   = regexp.MustCompile(`\b(refresher_[a-z_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping   = regexp.MustCompile(`\b(?:by|on|ignoring|without|group_left)\s*\(([^)]*)\)`)
	// targetLabels are what Prometheus adds to what it scrapes.
	targetLabels = []string{"cluster", "namespace", "job", "instance", "pod"}
)

func knownMetrics(t *testing.T) map[string]metric {
	t.Helper()
	page, err := os.Open(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	known := map[string]metric{}
	for lines := bufio.NewScanner(page); lines.Scan(); {
		row := metricRow.FindStringSubmatch(lines.Text())
		if row == nil {
			continue
		}
		m := metric{kind: row[2], labels: slices.Clone(targetLabels)}
		for _, label := range quoted.FindAllStringSubmatch(row[3], -1) {
			m.labels = append(m.labels, label[1])
		}
		if m.kind == "histogram" {
			known[row[1]+"_sum"], known[row[1]+"_count"] = m, m
			m.labels = append(m.labels, "le")
			known[row[1]+"_bucket"] = m
			continue
		}
		known[row[1]] = m
	}
	if len(known) < 40 {
		t.Fatalf("%s lists %d metrics only", metricsPage, len(known))
	}
	return known
}

// values are the words that a label can have, where that is a closed set.
var values = map[string][]string{
	"status": words(credential.Statuses()),
	"event":  renewal.Events(),
	"left":   {"none", "1h", "1d", "2d", "7d", "14d", "more"},
	"due":    {"now", "hour", "later"},
}

func words(statuses []credential.Status) []string {
	var out []string
	for _, s := range statuses {
		out = append(out, string(s))
	}
	return out
}

// checkQuery says what a query names that is not exported.
func checkQuery(known map[string]metric, query string) (problems []string) {
	for _, name := range metricName.FindAllString(query, -1) {
		if _, ok := known[name]; !ok {
			problems = append(problems, fmt.Sprintf("there is no metric %s", name))
		}
	}
	for _, s := range selector.FindAllStringSubmatch(query, -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(known[s[1]].labels, m[1]) {
				problems = append(problems, fmt.Sprintf("%s has no label %s", s[1], m[1]))
			}
		}
	}
	for _, m := range matcher.FindAllStringSubmatch(query, -1) {
		for value := range strings.SplitSeq(m[3], "|") {
			if words, closed := values[m[1]]; closed && !slices.Contains(words, value) {
				problems = append(problems, fmt.Sprintf("%s is never %q", m[1], value))
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(g[1], ",") {
			if label = strings.TrimSpace(label); label != "" && !someHas(known, query, label) {
				problems = append(problems, fmt.Sprintf("none of its metrics has a label %s", label))
			}
		}
	}
	return problems
}

// someHas reports whether one of a query's metrics has a label. What a recording
// rule has left is checked there.
func someHas(known map[string]metric, query, label string) bool {
	if slices.Contains(targetLabels, label) || recordName.MatchString(query) {
		return true
	}
	return slices.ContainsFunc(metricName.FindAllString(query, -1), func(name string) bool {
		return slices.Contains(known[name].labels, label)
	})
}

func TestRulesNameWhatIsExported(t *testing.T) {
	known := knownMetrics(t)
	for _, r := range load[rules](t, rulesFile).all() {
		for _, problem := range checkQuery(known, r.Expr) {
			t.Errorf("%s%s: %s", r.Record, r.Alert, problem)
		}
	}
}

// TestTestsNameWhatIsExported: a test against a metric that nobody exports proves nothing.
func TestTestsNameWhatIsExported(t *testing.T) {
	known := knownMetrics(t)
	for _, file := range testFiles(t) {
		for _, s := range load[ruleTests](t, file).Tests {
			for _, series := range s.InputSeries {
				for _, problem := range checkQuery(known, series.Series) {
					t.Errorf("%s: %s: %s", file, s.Name, problem)
				}
			}
		}
	}
}

var promqlBlock = regexp.MustCompile("(?s)```promql\n(.*?)```")

// TestPagesNameWhatIsExported, and their queries can be pasted into Prometheus.
func TestPagesNameWhatIsExported(t *testing.T) {
	known := knownMetrics(t)
	files, err := filepath.Glob(runbooks + "/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	var queries []string
	for _, file := range files {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range metricName.FindAllString(string(page), -1) {
			if _, ok := known[name]; !ok {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
		for _, block := range promqlBlock.FindAllStringSubmatch(string(page), -1) {
			for query := range strings.Lines(block[1]) {
				queries = append(queries, query)
				for _, problem := range checkQuery(known, query) {
					t.Errorf("%s: %s", file, problem)
				}
			}
		}
	}
	mustParse(t, queries)
}

// mustParse has Prometheus's own parser look at queries.
func mustParse(t *testing.T, queries []string) {
	t.Helper()
	var g group
	for i, query := range queries {
		g.Rules = append(g.Rules, rule{Record: fmt.Sprintf("query:%d", i), Expr: query})
	}
	if g.Name = "queries"; len(g.Rules) == 0 {
		t.Fatal("there are no queries")
	}
	dir := t.TempDir()
	write(t, dir, "queries.yaml", map[string][]group{"groups": {g}})
	if err := promtool(t, dir, "check", "rules", "queries.yaml"); err != nil {
		t.Error(err)
	}
}

// TestNamingConventions: what rules and dashboards use ends as its kind does.
func TestNamingConventions(t *testing.T) {
	for name, m := range knownMetrics(t) {
		if counter := strings.HasSuffix(name, "_total"); counter != (m.kind == "counter") {
			t.Errorf("%s is a %s", name, m.kind)
		}
		if m.kind == "histogram" && !strings.Contains(name, "_seconds_") {
			t.Errorf("%s has no unit", name)
		}
	}
}

// TestCheckQuery: the check finds what it is there for.
func TestCheckQuery(t *testing.T) {
	known := knownMetrics(t)
	for query, want := range map[string]string{
		`sum by (provider) (refresher_credentials{status="active", namespace=~"$namespace"})`: "",
		`rate(refresher_renewal_duration_seconds_bucket{le="1"}[5m])`:                         "",
		`refresher_credential`:                               "there is no metric refresher_credential",
		`refresher_renewal_duration_seconds`:                 "there is no metric refresher_renewal_duration_seconds",
		`refresher_credentials{tenant="a"}`:                  "refresher_credentials has no label tenant",
		`refresher_credentials{status=~"active|dead"}`:       `status is never "dead"`,
		`sum by (job, event) (refresher_credentials)`:        "none of its metrics has a label event",
		`refresher_protocol_events_total{event!="answered"}`: `event is never "answered"`,
	} {
		if got := strings.Join(checkQuery(known, query), "; "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
