package alerts

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// dashboard is what matters of Grafana's format.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type, Definition string
			Datasource             *datasource
		}
	}
	Annotations struct {
		List []struct {
			Expr       string
			Datasource *datasource
		}
	}
	Panels []panel
}

type datasource struct{ Type, UID string }

type panel struct {
	ID                       int
	Type, Title, Description string
	Collapsed                bool
	GridPos                  struct{ X, Y, W, H int }
	Datasource               *datasource
	Targets                  []target
	Panels                   []panel
}

type target struct {
	RefID, Expr string
	Datasource  *datasource
}

func loadDashboard(t *testing.T) dashboard {
	t.Helper()
	content, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// all returns the panels with those in the rows, and without the rows.
func (d dashboard) all() []panel {
	var out []panel
	for _, p := range d.Panels {
		if p.Type == "row" {
			out = append(out, p.Panels...)
		} else {
			out = append(out, p)
		}
	}
	return out
}

// screen is how many units of Grafana's grid are seen without scrolling on a common
// screen, in its kiosk mode.
const screen = 24

// TestDashboardIsOneScreen: what matters is seen at once, and details are folded.
func TestDashboardIsOneScreen(t *testing.T) {
	d := loadDashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 39 {
		t.Errorf("uid %q, title %q, schema version %d", d.UID, d.Title, d.SchemaVersion)
	}
	for _, p := range d.Panels {
		switch {
		case p.Type == "row":
			if !p.Collapsed || len(p.Panels) == 0 {
				t.Errorf("row %q is open, or empty", p.Title)
			}
		case p.GridPos.Y+p.GridPos.H > screen:
			t.Errorf("%q is below the first screen", p.Title)
		}
	}
	apart(t, d.Panels)
	for _, p := range d.Panels {
		apart(t, p.Panels)
	}
}

// apart wants panels that neither overlap nor leave the grid.
func apart(t *testing.T, panels []panel) {
	t.Helper()
	taken := map[[2]int]string{}
	for _, p := range panels {
		g := p.GridPos
		if g.X < 0 || g.W <= 0 || g.H <= 0 || g.X+g.W > 24 {
			t.Errorf("%q leaves the grid: %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%q lies over %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// TestPanels: each says what it is, has a number of its own, and asks the data source
// that is chosen at the top.
func TestPanels(t *testing.T) {
	d := loadDashboard(t)
	chosen := datasource{Type: "prometheus", UID: "${datasource}"}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if p.Type == "row" {
			ids[p.ID] = true
		}
	}
	for _, p := range d.all() {
		if p.Title == "" || len(p.Description) < 5 || len(p.Targets) == 0 || ids[p.ID] {
			t.Errorf("panel %d %q: no title, description or query, or the number of another", p.ID, p.Title)
		}
		ids[p.ID] = true
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if p.Datasource == nil || *p.Datasource != chosen || q.Datasource == nil || *q.Datasource != chosen {
				t.Errorf("%q does not use the chosen data source", p.Title)
			}
			if refs[q.RefID] || q.RefID == "" {
				t.Errorf("%q has two queries %q", p.Title, q.RefID)
			}
			refs[q.RefID] = true
		}
	}
	if list := d.Templating.List; len(list) == 0 || list[0].Name != "datasource" || list[0].Type != "datasource" {
		t.Error("the first variable is not the data source")
	}
}

var (
	variable    = regexp.MustCompile(`\$\{?([A-Za-z_]+)\}?`)
	labelValues = regexp.MustCompile(`^label_values\((.*), ([a-z]+)\)$`)
	builtIn     = map[string]string{"__rate_interval": "5m", "__range": "6h", "__interval": "1m"}
)

// queries returns what the dashboard asks Prometheus, with values for its
// variables, and each selector limited by namespace and job.
func (d dashboard) queries(t *testing.T) map[string]string {
	t.Helper()
	variables := map[string]bool{}
	out := map[string]string{}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
		if v.Type != "query" {
			continue
		}
		parts := labelValues.FindStringSubmatch(v.Definition)
		if parts == nil {
			t.Fatalf("variable %s is not a label's values: %s", v.Name, v.Definition)
		}
		out["variable "+v.Name] = fmt.Sprintf("count by (%s) (%s)", parts[2], parts[1])
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			out["an annotation"] = a.Expr
		}
	}
	for _, p := range d.all() {
		for _, q := range p.Targets {
			for _, s := range selector.FindAllStringSubmatch(q.Expr, -1) {
				if !strings.Contains(s[2], `namespace=~"$namespace", job=~"$job"`) {
					t.Errorf("%s, %s: %s is not limited to the chosen releases", p.Title, q.RefID, s[0])
				}
			}
			out[p.Title+", "+q.RefID] = q.Expr
		}
	}
	for where, query := range out {
		out[where] = variable.ReplaceAllStringFunc(query, func(v string) string {
			name := variable.FindStringSubmatch(v)[1]
			value, known := builtIn[name]
			if !known && !variables[name] {
				t.Errorf("%s: there is no variable %s", where, v)
			}
			if known {
				return value
			}
			return ".*"
		})
	}
	return out
}

func TestDashboardQueries(t *testing.T) {
	known := knownMetrics(t)
	var queries []string
	for where, query := range loadDashboard(t).queries(t) {
		queries = append(queries, query)
		for _, problem := range checkQuery(known, query) {
			t.Errorf("%s: %s", where, problem)
		}
		if recordName.MatchString(query) {
			t.Errorf("%s rests on a recording rule, which may not be there", where)
		}
	}
	mustParse(t, queries)
}

// TestNothingKnownIsNotZero: a number that is zero without any data says that all is
// well when nobody knows.
func TestNothingKnownIsNotZero(t *testing.T) {
	for _, p := range loadDashboard(t).all() {
		for _, q := range p.Targets {
			if p.Type == "stat" && strings.Contains(q.Expr, "vector(") {
				t.Errorf("%q shows a number when there is none: %s", p.Title, q.Expr)
			}
		}
	}
}

// TestDashboardShowsAllMetrics: what is exported and on no panel is seen by nobody.
func TestDashboardShowsAllMetrics(t *testing.T) {
	elsewhere := map[string]string{
		"refresher_last_tick_timestamp_seconds":         "an alert's alone",
		"refresher_credential_expiry_timestamp_seconds": "for queries by name",
	}
	var all strings.Builder
	for _, query := range loadDashboard(t).queries(t) {
		all.WriteString(query + "\n")
	}
	for name := range knownMetrics(t) {
		if strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count") || elsewhere[name] != "" {
			continue
		}
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(all.String()) {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// TestAnswersLostInADay: what a new replica counted before its first scrape is there,
// and what the process before it had counted in the same place still is.
func TestAnswersLostInADay(t *testing.T) {
	query := loadDashboard(t).queries(t)["Answers lost in a day, A"]
	if query == "" {
		t.Fatal("there is no such panel")
	}
	const lost = `refresher_protocol_events_total{job="refresher", instance="%s", event="answer_lost", provider="checkfront"}`
	const start = `process_start_time_seconds{job="refresher", instance="%s"}`
	at := func(time, value string) check {
		c := check{Alert: "Lost", At: time}
		if value != "0" {
			c.Alerts = []expected{{Annotations: map[string]string{"summary": value}}}
		}
		return c
	}
	tests := ruleTests{RuleFiles: []string{"rules.yaml"}, EvaluationInterval: "10m", Tests: []scenario{{
		Name: "answers are lost", Interval: "10m",
		InputSeries: []inputSeries{
			{fmt.Sprintf(lost, "r-0"), "0x5 1x5 0x300"},       // loses one, and starts anew
			{fmt.Sprintf(start, "r-0"), "-90000x11 7000x300"}, // in the same place
			{fmt.Sprintf(lost, "r-1"), "_x18 1x300"},          // loses one before its first scrape
			{fmt.Sprintf(start, "r-1"), "_x18 10700x300"},     //
			{fmt.Sprintf(lost, "r-2"), "5x300"},               // lost five long ago
			{fmt.Sprintf(start, "r-2"), "-90000x300"},         //
		},
		Checks: []check{at("50m", "0"), at("70m", "1"), at("150m", "1"), at("180m", "2"), at("24h", "2"), at("46h", "0")},
	}}}
	alert := rule{Alert: "Lost", Expr: query + " > 0", Annotations: map[string]string{"summary": "{{ $value }}"}}
	if err := run(t, t.TempDir(), []group{{Name: "panel", Interval: "10m", Rules: []rule{alert}}}, tests); err != nil {
		t.Errorf("%s: %v", query, err)
	}
}
