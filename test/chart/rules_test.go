package chart

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// rules returns the rules of a PrometheusRule's groups by name.
func rules(groups []any) map[string]object {
	all := map[string]object{}
	for _, group := range groups {
		g, _ := group.(object)
		for _, rule := range at[[]any](g, "rules") {
			r, _ := rule.(object)
			all[at[string](r, "alert")+at[string](r, "record")] = r
		}
	}
	return all
}

func renderedRules(t *testing.T, args ...string) map[string]object {
	t.Helper()
	all := objects(t, mustTemplate(t, append(args, "--set", "prometheusRule.enabled=true")...))
	return rules(at[[]any](find(t, all, "PrometheusRule", "r-refresher"), "spec", "groups"))
}

// sourceRules returns the rules of files/rules.yaml, of which there must be some.
func sourceRules(t *testing.T) map[string]object {
	t.Helper()
	all := rules(at[[]any](readYAML(t, filepath.Join(chartDir, "files/rules.yaml")), "groups"))
	if len(all) < 10 {
		t.Fatalf("files/rules.yaml has %d rules", len(all))
	}
	return all
}

// TestRulesAreCarriedOver sees that no rule changes on its way into the
// PrometheusRule: what Prometheus's own templates say is not taken for Helm's.
func TestRulesAreCarriedOver(t *testing.T) {
	t.Parallel()
	got := renderedRules(t)
	for name, want := range sourceRules(t) {
		if !reflect.DeepEqual(got[name], want) {
			t.Errorf("%s became %v, was %v", name, got[name], want)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s comes from nowhere", name)
	}
}

// TestRulesAreDisabled disables one half of the rules, then the other, then all.
func TestRulesAreDisabled(t *testing.T) {
	t.Parallel()
	source := sourceRules(t)
	names := slices.Sorted(maps.Keys(source))
	half := len(names) / 2
	for what, disabled := range map[string][]string{"the first half": names[:half], "the second": names[half:], "all": names} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			changes := object{}
			for _, name := range disabled {
				changes[name] = object{"enabled": false}
			}
			got := renderedRules(t, "--set-json", "prometheusRule="+toJSON(t, object{"rules": changes}))
			for _, name := range names {
				if there := got[name] != nil; there == slices.Contains(disabled, name) {
					t.Errorf("%s is there: %t", name, there)
				}
			}
		})
	}
}

// TestRulesAreChanged tries what else the values can say of rules.
func TestRulesAreChanged(t *testing.T) {
	t.Parallel()
	got := renderedRules(t, "--set-json", `prometheusRule={"runbookUrl":"https://example.com/runbooks","ruleLabels":{"team":"a"},"extraGroups":[{"name":"mine","rules":[{"alert":"Mine","expr":"vector(1)"}]}],`+
		`"rules":{"RefresherAbsent":{"severity":"info","for":"7m"}}}`)
	if want := (object{"alert": "Mine", "expr": "vector(1)"}); !reflect.DeepEqual(got["Mine"], want) {
		t.Errorf("a rule of one's own became %v", got["Mine"])
	}
	for name, source := range sourceRules(t) {
		rule := got[name]
		if source["record"] != nil {
			if !reflect.DeepEqual(rule, source) {
				t.Errorf("%s is no alert, and became %v", name, rule)
			}
			continue
		}
		if want, url := "https://example.com/runbooks/"+name+".md", at[string](rule, "annotations", "runbook_url"); url != want {
			t.Errorf("%s has the runbook %s, want %s", name, url, want)
		}
		if team := at[string](rule, "labels", "team"); team != "a" {
			t.Errorf("%s has the label team=%q", name, team)
		}
		severity, wait := at[string](source, "labels", "severity"), at[string](source, "for")
		if name == "RefresherAbsent" {
			severity, wait = "info", "7m"
		}
		if at[string](rule, "labels", "severity") != severity || at[string](rule, "for") != wait {
			t.Errorf("%s became %v", name, rule)
		}
		if !strings.Contains(at[string](source, "annotations", "runbook_url"), "docs/runbooks/") {
			t.Errorf("%s has no runbook in docs/runbooks", name)
		}
	}
}

// TestDashboardIsCarriedOver sees that Grafana gets the file as it is.
func TestDashboardIsCarriedOver(t *testing.T) {
	t.Parallel()
	all := objects(t, mustTemplate(t, "--set", "grafanaDashboard.enabled=true"))
	got := at[string](find(t, all, "ConfigMap", "r-refresher-dashboard"), "data", "refresher.json")
	want := read(t, filepath.Join(chartDir, "files/dashboard.json"))
	if strings.TrimSpace(got) != strings.TrimSpace(want) || len(want) < 100 {
		t.Errorf("the dashboard became %.200s", got)
	}
}
