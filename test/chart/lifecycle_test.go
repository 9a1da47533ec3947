package chart

import (
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestUpgradesChangeNothingFixed renders what an older and a newer version of the
// chart, with other labels and settings, make of the fields that Kubernetes does not
// let anybody change.
func TestUpgradesChangeNothingFixed(t *testing.T) {
	t.Parallel()
	before := find(t, objects(t, mustTemplate(t)), "StatefulSet", "r-refresher")
	dir := t.TempDir()
	if _, err := helm(t, "package", chartDir, "--destination="+dir, "--version=9.8.7+build", "--app-version=v9.8.7"); err != nil {
		t.Fatal(err)
	}
	text, err := template(t, filepath.Join(dir, "refresher-9.8.7+build.tgz"),
		"--set-json", `commonLabels={"a":"b","app.kubernetes.io/name":"mine"}`, "--set-json", `podLabels={"app.kubernetes.io/instance":"mine"}`,
		"--set-json", `config={"log":{"level":"debug"}}`, "--set", "replicaCount=5")
	if err != nil {
		t.Fatal(err)
	}
	after := find(t, objects(t, text), "StatefulSet", "r-refresher")
	for _, field := range []string{"selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"} {
		was, is := at[object](before, "spec")[field], at[object](after, "spec")[field]
		if was == nil || !reflect.DeepEqual(was, is) {
			t.Errorf("%s was %v and is %v", field, was, is)
		}
	}
	if !matches(at[object](after, "spec", "selector"), at[object](after, "spec", "template", "metadata", "labels")) {
		t.Error("the pods lose the labels by which they are found")
	}
	if chart := at[string](after, "metadata", "labels", "helm.sh/chart"); chart != "refresher-9.8.7_build" {
		t.Errorf("the StatefulSet is labelled as %q", chart)
	}
	if image := at[string](container(t, after, "refresher"), "image"); image != "refresher:v9.8.7" {
		t.Errorf("the image is %s", image)
	}
}

// TestNothingDeletesASpool sees that volumes stay when pods go for good.
func TestNothingDeletesASpool(t *testing.T) {
	t.Parallel()
	set := find(t, objects(t, mustTemplate(t)), "StatefulSet", "r-refresher")
	want := object{"whenDeleted": "Retain", "whenScaled": "Retain"}
	if got := at[object](set, "spec", "persistentVolumeClaimRetentionPolicy"); !reflect.DeepEqual(got, want) {
		t.Errorf("the claims' retention policy is %v", got)
	}
}

// TestPodsAreReplacedWithTheConfiguration sees that a changed setting reaches the
// pods, and that a change elsewhere leaves them alone.
func TestPodsAreReplacedWithTheConfiguration(t *testing.T) {
	t.Parallel()
	pod := func(args ...string) object {
		set := find(t, objects(t, mustTemplate(t, args...)), "StatefulSet", "r-refresher")
		return at[object](set, "spec", "template")
	}
	before := pod()
	if reflect.DeepEqual(before, pod("--set", "config.log.level=debug")) {
		t.Error("a setting does not reach the pods")
	}
	if !reflect.DeepEqual(before, pod("--set", "service.port=80", "--set", "replicaCount=3")) {
		t.Error("the pods are replaced for what is not theirs")
	}
}

// TestGracePeriod computes it from the settings.
func TestGracePeriod(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		set  string
		want int
	}{
		"defaults":          {`config={}`, 180},
		"longer":            {`config={"renewal":{"shutdown_grace":"3m30s"}}`, 240},
		"days":              {`config={"renewal":{"shutdown_grace":"1d2h"},"http":{"shutdown_timeout":"30s"}}`, 26*3600 + 50},
		"parts of a second": {`config={"renewal":{"shutdown_grace":"1.5m"},"http":{"shutdown_timeout":"500ms"}}`, 110},
		"null":              {`config={"renewal":{"shutdown_grace":null},"http":null}`, 180},
		"given":             {`terminationGracePeriodSeconds=160`, 160},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := find(t, objects(t, mustTemplate(t, "--set-json", test.set)), "StatefulSet", "r-refresher")
			if got := at[int](set, "spec", "template", "spec", "terminationGracePeriodSeconds"); got != test.want {
				t.Errorf("%d s, want %d", got, test.want)
			}
		})
	}
}

// TestSecondsStayWhole sees that Helm's way to print numbers makes none that Kubernetes
// would not read.
func TestSecondsStayWhole(t *testing.T) {
	t.Parallel()
	text := mustTemplate(t, "--set-json", `vault={"auth":{"kubernetes":{"expirationSeconds":3600000}}}`)
	if !strings.Contains(text, "expirationSeconds: 3600000\n") {
		t.Errorf("the token lives for another time:\n%s", regexp.MustCompile(`expirationSeconds: .*`).FindString(text))
	}
}

// TestSelectors sees that everything finds the pods that it is for and no others: of
// the service, its Helm test and the throw-away Redis.
func TestSelectors(t *testing.T) {
	t.Parallel()
	all := objects(t, mustTemplate(t, "--set", "redis.dev.enabled=true,networkPolicy.enabled=true,podMonitor.enabled=true"))
	pods := map[string]object{
		"worker": at[object](find(t, all, "StatefulSet", "r-refresher"), "spec", "template", "metadata", "labels"),
		"redis":  at[object](find(t, all, "Deployment", "r-refresher-redis"), "spec", "template", "metadata", "labels"),
		"doctor": at[object](find(t, all, "Pod", "r-refresher-doctor"), "metadata", "labels"),
	}
	tests := map[string]struct {
		selector []string
		want     []string
	}{
		"StatefulSet r-refresher":         {[]string{"spec", "selector"}, []string{"worker"}},
		"Deployment r-refresher-redis":    {[]string{"spec", "selector"}, []string{"redis"}},
		"PodDisruptionBudget r-refresher": {[]string{"spec", "selector"}, []string{"worker"}},
		"PodMonitor r-refresher":          {[]string{"spec", "selector"}, []string{"worker"}},
		"NetworkPolicy r-refresher":       {[]string{"spec", "podSelector"}, []string{"doctor", "worker"}},
		"NetworkPolicy r-refresher-redis": {[]string{"spec", "podSelector"}, []string{"redis"}},
		"Service r-refresher":             {[]string{"spec", "selector"}, []string{"worker"}},
		"Service r-refresher-headless":    {[]string{"spec", "selector"}, []string{"worker"}},
		"Service r-refresher-redis":       {[]string{"spec", "selector"}, []string{"redis"}},
	}
	for name, test := range tests {
		var kind, called string
		if _, err := fmt.Sscan(name, &kind, &called); err != nil {
			t.Fatal(err)
		}
		selector := at[object](find(t, all, kind, called), test.selector...)
		if kind == "Service" {
			selector = object{"matchLabels": selector}
		}
		var got []string
		for pod, labels := range pods {
			if matches(selector, labels) {
				got = append(got, pod)
			}
		}
		if slices.Sort(got); !slices.Equal(got, test.want) {
			t.Errorf("%s selects %v, want %v", name, got, test.want)
		}
	}
}

// matches reports whether a label selector selects labels. Of expressions it knows "In".
func matches(selector, labels object) bool {
	wanted := at[object](selector, "matchLabels")
	if len(wanted) == 0 {
		return false // nothing here selects all
	}
	for key, value := range wanted {
		if labels[key] != value {
			return false
		}
	}
	for _, expression := range at[[]any](selector, "matchExpressions") {
		e, _ := expression.(object)
		if e["operator"] != "In" || !slices.Contains(at[[]any](e, "values"), labels[at[string](e, "key")]) {
			return false
		}
	}
	return true
}

// TestServiceMonitorFindsOneService sees that no pod is scraped twice.
func TestServiceMonitorFindsOneService(t *testing.T) {
	t.Parallel()
	all := objects(t, mustTemplate(t, "--set", "serviceMonitor.enabled=true,redis.dev.enabled=true"))
	selector := at[object](find(t, all, "ServiceMonitor", "r-refresher"), "spec", "selector")
	var found []string
	for _, o := range all {
		if o["kind"] == "Service" && matches(selector, at[object](o, "metadata", "labels")) {
			found = append(found, at[string](o, "metadata", "name"))
		}
	}
	if !slices.Equal(found, []string{"r-refresher"}) {
		t.Errorf("it finds %v", found)
	}
}
