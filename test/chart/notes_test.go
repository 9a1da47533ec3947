package chart

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// notes returns what Helm says after an install. "helm template" leaves it out, so an
// extra object takes it in.
func notes(t *testing.T, args ...string) string {
	t.Helper()
	const carrier = `{apiVersion: v1, kind: ConfigMap, metadata: {name: notes}, data: {notes: {{ include "refresher.notes" . | toJson }}}}`
	all := objects(t, mustTemplate(t, append(args, "--set-json", "extraObjects="+toJSON(t, []string{carrier}))...))
	return at[string](find(t, all, "ConfigMap", "notes"), "data", "notes")
}

// TestNotices sees when Helm says something, and when not.
func TestNotices(t *testing.T) {
	t.Parallel()
	const (
		byLabel = "may select by label"
		noLinks = "prometheusRule.runbookUrl"
		behind  = "Volumes that the pods had before"
		port    = "networkPolicy.egress.redis.ports"
		byURL   = `redis={"addresses":[]}`
	)
	env := `extraEnv=[{"name":"REFRESHER_REDIS_URL","value":"redis://r:6380"}]`
	tests := map[string]struct {
		args      []string
		says      []string
		saysNotOf []string
	}{
		"a password alone": {
			[]string{"--set", "redis.existingSecret=redis"},
			[]string{"Redis is expected at redis:6379 (standalone, with the password in the Secret redis)."},
			[]string{"Secret redis says"},
		},
		"a Secret without a password": {
			[]string{"--set", "redis.existingSecret=redis,redis.secretKeys.password="}, []string{"(standalone, without a password)"}, nil,
		},
		"a URL in a Secret": {
			[]string{"--set", "redis.existingSecret=redis,redis.secretKeys.url=url"},
			[]string{"Redis is where the URL in the Secret redis says"},
			[]string{"redis:6379", port},
		},
		"a URL in the environment": {
			[]string{"--set-json", byURL, "--set-json", env}, []string{"Redis is where REFRESHER_REDIS_URL in extraEnv says"}, []string{"the only replica"},
		},
		"a policy and a URL": {
			[]string{"--set-json", byURL, "--set-json", env, "--set", "networkPolicy.enabled=true"}, []string{port}, nil,
		},
		"a policy with ports": {
			[]string{"--set-json", byURL, "--set-json", env, "--set", "networkPolicy.enabled=true,networkPolicy.egress.redis.ports={6380}"},
			nil,
			[]string{port},
		},
		"no Redis":           {[]string{"--set-json", byURL, "--set", "replicaCount=1"}, []string{"There is no Redis"}, nil},
		"rules without URL":  {[]string{"--set", "prometheusRule.enabled=true"}, []string{noLinks, byLabel, "prometheusRule.labels.release="}, nil},
		"rules with URL":     {[]string{"--set", "prometheusRule.enabled=true,prometheusRule.runbookUrl=https://r"}, nil, []string{noLinks}},
		"no rules":           {nil, nil, []string{noLinks, byLabel}},
		"a monitor":          {[]string{"--set", "serviceMonitor.enabled=true"}, []string{byLabel, "serviceMonitor.labels.release="}, []string{"podMonitor.labels"}},
		"another monitor":    {[]string{"--set", "podMonitor.enabled=true"}, []string{byLabel, "podMonitor.labels.release="}, []string{"serviceMonitor.labels"}},
		"a labelled monitor": {[]string{"--set", "podMonitor.enabled=true,podMonitor.labels.release=p"}, nil, []string{byLabel}},
		"a dashboard":        {[]string{"--set", "grafanaDashboard.enabled=true"}, nil, []string{"grafanaDashboard.labels"}},
		"a bare dashboard":   {[]string{"--set-json", `grafanaDashboard={"enabled":true,"labels":null}`}, []string{"grafanaDashboard.labels"}, nil},
		"an emptyDir":        {[]string{"--set", "persistence.enabled=false"}, nil, []string{behind}},
		"an emptyDir later":  {[]string{"--set", "persistence.enabled=false", "--is-upgrade"}, []string{behind, "spool-r-refresher-"}, nil},
		"an upgrade":         {[]string{"--is-upgrade"}, nil, []string{behind}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := notes(t, test.args...)
			for _, want := range test.says {
				if !strings.Contains(got, want) {
					t.Errorf("the notes do not say %q:\n%s", want, got)
				}
			}
			for _, unwanted := range test.saysNotOf {
				if strings.Contains(got, unwanted) {
					t.Errorf("the notes say %q:\n%s", unwanted, got)
				}
			}
		})
	}
}

// TestNamesInNotesArePermitted holds the names that notes give "vault setup" against
// what its administrator may make.
func TestNamesInNotesArePermitted(t *testing.T) {
	t.Parallel()
	permitted := regexp.MustCompile(`path "auth/kubernetes/role/([a-z]+)\*"`).FindStringSubmatch(read(t, "../../deploy/vault/administrator.hcl"))
	if permitted == nil {
		t.Fatal("the administrator may make no role by the beginning of its name")
	}
	files, err := filepath.Glob("testdata/*.notes")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		for _, name := range regexp.MustCompile(`--name (\S+)`).FindAllStringSubmatch(read(t, file), -1) {
			if found++; !strings.HasPrefix(name[1], permitted[1]) {
				t.Errorf("%s names %s, which deploy/vault/administrator.hcl does not permit", file, name[1])
			}
		}
	}
	if found == 0 {
		t.Error("no notes give a name")
	}
	other := notes(t, "--set", "vault.auth.kubernetes.role=booking")
	if !strings.Contains(other, "deploy/vault/administrator.hcl") {
		t.Errorf("the notes do not say that the administrator's policy must permit the name:\n%s", other)
	}
}
