package alerts

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// ruleTests is a file for promtool test rules.
type ruleTests struct {
	RuleFiles          []string   `yaml:"rule_files"`
	EvaluationInterval string     `yaml:"evaluation_interval"`
	GroupOrder         []string   `yaml:"group_eval_order"`
	Tests              []scenario `yaml:"tests"`
}

// scenario is one history of series, and what is to be seen in its course.
type scenario struct {
	Name        string        `yaml:"name"`
	Interval    string        `yaml:"interval"`
	InputSeries []inputSeries `yaml:"input_series"`
	Checks      []check       `yaml:"alert_rule_test"`
}

type inputSeries struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type check struct {
	Alert  string     `yaml:"alertname"`
	At     string     `yaml:"eval_time"`
	Alerts []expected `yaml:"exp_alerts,omitempty"`
}

type expected struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

func testFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	return files
}

// run lets promtool test rules.
func run(t *testing.T, dir string, groups []group, tests ruleTests) error {
	t.Helper()
	// In no order of its own promtool takes groups as they come, and an alert may see a record
	// that is one evaluation old.
	tests.GroupOrder = nil
	for i, g := range groups {
		tests.GroupOrder = append(tests.GroupOrder, g.Name)
		groups[i].Rules = slices.Clone(g.Rules)
		for j, r := range g.Rules {
			groups[i].Rules[j] = r.forTest()
		}
	}
	write(t, dir, "rules.yaml", rules{groups})
	write(t, dir, "tests.yaml", tests)
	return promtool(t, dir, "test", "rules", "tests.yaml")
}

func TestRules(t *testing.T) {
	for _, file := range testFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			if err := run(t, t.TempDir(), load[rules](t, rulesFile).Groups, load[ruleTests](t, file)); err != nil {
				t.Error(err)
			}
		})
	}
}

// only keeps the checks of one alert, and the scenarios that have some.
func (f ruleTests) only(alert string) ruleTests {
	scenarios := f.Tests
	f.Tests = nil
	for _, s := range scenarios {
		s.Checks = slices.DeleteFunc(slices.Clone(s.Checks), func(c check) bool { return c.Alert != alert })
		if len(s.Checks) > 0 {
			f.Tests = append(f.Tests, s)
		}
	}
	return f
}

// testsOf returns the files with what tests one alert.
func testsOf(t *testing.T, alert string) []ruleTests {
	t.Helper()
	var out []ruleTests
	for _, file := range testFiles(t) {
		if tests := load[ruleTests](t, file).only(alert); len(tests.Tests) > 0 {
			out = append(out, tests)
		}
	}
	return out
}

// TestEachAlertIsTested: there is a case in which it fires and one in which it does
// not, and a rule that says something else fails one of them.
func TestEachAlertIsTested(t *testing.T) {
	file := load[rules](t, rulesFile)
	var records []rule
	for _, r := range file.all() {
		if r.Record != "" {
			records = append(records, r)
		}
	}
	for _, r := range file.alerts() {
		t.Run(r.Alert, func(t *testing.T) {
			t.Parallel()
			tests := testsOf(t, r.Alert)
			fires, rests := 0, 0
			for _, f := range tests {
				for _, s := range f.Tests {
					for _, c := range s.Checks {
						if len(c.Alerts) > 0 {
							fires++
						} else {
							rests++
						}
					}
				}
			}
			if fires == 0 || rests == 0 {
				t.Fatalf("%d cases in which it fires and %d in which it does not, want some of both", fires, rests)
			}
			if !survives(t, append(slices.Clone(records), r), tests) {
				t.Fatal("alone with the recording rules it does not pass its tests")
			}
			for what, mutant := range mutants(t, r) {
				if survives(t, append(slices.Clone(records), mutant), tests) {
					t.Errorf("with %s its tests pass all the same", what)
				}
			}
		})
	}
}

// survives reports whether all tests pass with these rules.
func survives(t *testing.T, all []rule, tests []ruleTests) bool {
	t.Helper()
	for _, f := range tests {
		if run(t, t.TempDir(), []group{{Name: "mutant", Interval: "30s", Rules: all}}, f) != nil {
			return false
		}
	}
	return true
}

var threshold = regexp.MustCompile(`([<>]=?) ([0-9.e]+)( \*|\n|$)`)

// mutants are versions of a rule that say something else: each threshold moved
// either way, and the patience gone.
func mutants(t *testing.T, r rule) map[string]rule {
	t.Helper()
	out := map[string]rule{}
	if r.For != "" {
		mutant := r
		mutant.For = ""
		out["no for"] = mutant
	}
	for _, at := range threshold.FindAllStringSubmatchIndex(r.Expr, -1) {
		sign, number := r.Expr[at[2]:at[3]], r.Expr[at[4]:at[5]]
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatalf("%s is no threshold: %v", number, err)
		}
		higher := value * 2
		if value == 0 {
			higher = 1.5 // so that one is enough, and increase() is a little more than one
		}
		for _, other := range []float64{higher, value / 2} {
			if other != value {
				mutant := r
				mutant.Expr = fmt.Sprintf("%s%g%s", r.Expr[:at[4]], other, r.Expr[at[5]:])
				out[fmt.Sprintf("%s %g for %s at %d", sign, other, number, at[4])] = mutant
			}
		}
	}
	return out
}
