package cluster

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"refresher/internal/credential"
)

// TestLifeOfARelease: installed as the previous version, upgraded, rolled back, scaled
// down, uninstalled and installed again. The pods run all the time, and the spools are
// the same from the first day to the last.
func TestLifeOfARelease(t *testing.T) {
	t.Parallel()
	s := newStage(newTenancy(t))
	s.trustProviders()
	setUpVault(s.vault, s.tenancy, "vault", "setup", "--auth", "kubernetes", "--kubernetes-namespace", s.name)
	ids := s.credentials()

	s.helm("install", "refresher", previousChart(t), s.values(baseValues()), "--wait", "--timeout=90s")
	s.alive(ids)
	s.helm("test", "refresher", "--timeout=60s")
	first, spools := s.uids(), s.spools()
	if len(spools) != 2 {
		t.Fatalf("there are %d spools, want one a pod: %v", len(spools), spools)
	}

	s.helm("upgrade", "refresher", chart(), s.values(baseValues()), "--wait", "--timeout=90s")
	second := s.uids()
	if previousIsThis(t) && !maps.Equal(first, second) {
		t.Error("an upgrade that changes nothing replaces pods")
	}

	configured := baseValues()
	configured["config"].(map[string]any)["log"] = map[string]any{"level": "debug"}
	s.helm("upgrade", "refresher", chart(), s.values(configured), "--wait", "--timeout=90s")
	s.rolled(second, "an upgrade with another configuration")
	for _, p := range s.workers() {
		if log := s.kubectl("logs", p.Metadata.Name); !strings.Contains(log, `"level":"debug"`) {
			t.Errorf("%s does not run with the new configuration:\n%s", p.Metadata.Name, log)
		}
	}

	s.helm("upgrade", "refresher", chart(), s.values(changedValues()), "--wait", "--timeout=90s")
	changed := s.uids()
	s.helm("rollback", "refresher", "2", "--wait", "--timeout=90s")
	s.rolled(changed, "a rollback")
	s.kept(spools, "an upgrade and a rollback")
	s.alive(ids)

	s.helm("upgrade", "refresher", chart(), s.values(baseValues()), "--set=replicaCount=1", "--wait", "--timeout=90s")
	s.eventually("one pod is left", func() error { return s.count(1) })
	s.kept(spools, "a scale-down")

	s.helm("uninstall", "refresher", "--wait", "--timeout=90s")
	s.eventually("no pod is left", func() error { return s.count(0) })
	s.kept(spools, "an uninstall")

	s.helm("install", "refresher", chart(), s.values(baseValues()), "--wait", "--timeout=90s")
	s.kept(spools, "an install in the place of the old one")
	s.alive(ids)
	s.helm("test", "refresher", "--timeout=60s")
}

// changedValues differ from the base values in much of what an operator may change of a
// release that runs.
func changedValues() map[string]any {
	values := baseValues()
	values["commonLabels"] = map[string]any{"team": "integrations"}
	values["podAnnotations"] = map[string]any{"example.com/note": "changed"}
	values["resources"] = map[string]any{"requests": map[string]any{"cpu": "100m", "memory": "128Mi"}}
	values["serviceMonitor"] = map[string]any{"enabled": true}
	values["prometheusRule"] = map[string]any{"enabled": true}
	values["networkPolicy"] = map[string]any{"enabled": true}
	values["service"] = map[string]any{"port": 9090}
	values["podDisruptionBudget"] = map[string]any{"minAvailable": 1}
	return values
}

// previousTag is the last release's tag before this version; empty if none has a chart.
func previousTag(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", repository(), "tag", "--list", "v*", "--merged", "HEAD", "--no-contains", "HEAD",
		"--sort=-version:refname").Output()
	if err != nil {
		return "" // not a clone: there is nothing to look at
	}
	for tag := range strings.FieldsSeq(string(out)) {
		if exec.CommandContext(t.Context(), "git", "-C", repository(), "cat-file", "-e", tag+":charts/refresher/Chart.yaml").Run() == nil {
			return tag
		}
	}
	return ""
}

// previousIsThis reports whether there is no release yet that could be upgraded from.
func previousIsThis(t *testing.T) bool { return previousTag(t) == "" }

// previousChart packages the chart of the last release. Before there is one it packages
// this very chart with an older version: what is then shown is that nothing which
// follows the version is in a field that Kubernetes refuses to change.
func previousChart(t *testing.T) string {
	t.Helper()
	source, args := chart(), []string{"--version=0.0.1-previous"}
	if tag := previousTag(t); tag != "" {
		dir := t.TempDir()
		archive := filepath.Join(dir, "chart.tar")
		for _, command := range [][]string{
			{"git", "-C", repository(), "archive", "--output=" + archive, tag, "charts/refresher"},
			{"tar", "-xf", archive, "-C", dir},
		} {
			if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", command, err, out)
			}
		}
		source, args = filepath.Join(dir, "charts", "refresher"), nil
	}
	dir := t.TempDir()
	if _, err := kube.runTool(t.Context(), nil, "helm", append(args, "package", source, "--destination="+dir)...); err != nil {
		t.Fatal(err)
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("helm package left %v, %v", packages, err)
	}
	t.Logf("upgraded from %s", filepath.Base(packages[0]))
	return packages[0]
}

// alive wants all credentials to be served.
func (s *stage) alive(ids []credential.ID) {
	s.t.Helper()
	for _, id := range ids {
		s.eventually(id.String()+" is alive", func() error { return s.serves(id) })
	}
}

// uids returns the UIDs of the service's pods by name.
func (s *stage) uids() map[string]string {
	s.t.Helper()
	uids := map[string]string{}
	for _, p := range s.workers() {
		uids[p.Metadata.Name] = p.Metadata.UID
	}
	return uids
}

// rolled wants all pods to be others than before.
func (s *stage) rolled(before map[string]string, by string) {
	s.t.Helper()
	for name, uid := range s.uids() {
		if uid == before[name] {
			s.t.Errorf("%s leaves %s as it is", by, name)
		}
	}
}

// spools returns of each claim its UID, and the identity that the service keeps on its
// volume.
func (s *stage) spools() map[string]string {
	s.t.Helper()
	var list struct {
		Items []claim `json:"items"`
	}
	if err := s.get("persistentvolumeclaims", &list); err != nil {
		s.t.Fatal(err)
	}
	spools := map[string]string{}
	for _, c := range list.Items {
		owner, err := os.ReadFile(filepath.Join(s.node.disk, c.Spec.VolumeName, "spool", "owner"))
		if err != nil {
			s.t.Fatalf("%s holds no spool: %v", c.Metadata.Name, err)
		}
		spools[c.Metadata.Name] = c.Metadata.UID + " " + string(owner)
	}
	return spools
}

// kept wants the same claims, bound to the same volumes, with the same spools on them.
func (s *stage) kept(spools map[string]string, by string) {
	s.t.Helper()
	if now := s.spools(); !maps.Equal(spools, now) {
		s.t.Errorf("%s changes the spools from %v to %v", by, spools, now)
	}
}

// count wants so many pods.
func (s *stage) count(want int) error {
	if pods := s.uids(); len(pods) != want {
		return fmt.Errorf("there are %v", pods)
	}
	return nil
}
