package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// workload is a StatefulSet or a Deployment.
type workload struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Replicas int `json:"replicas"`
		Template struct {
			Metadata metadata `json:"metadata"`
		} `json:"template"`
	} `json:"spec"`
	Status struct {
		Replicas int `json:"replicas"`
	} `json:"status"`
}

// made wants all pods of all workloads of a namespace to exist: its controllers could
// make them, which is when Pod Security is enforced.
func (ns *tenancy) made() error {
	found := 0
	for _, kind := range []string{"statefulsets", "deployments"} {
		var list struct {
			Items []workload `json:"items"`
		}
		if err := ns.getFrom("apps/v1", kind, &list); err != nil {
			return err
		}
		for _, w := range list.Items {
			found++
			if w.Status.Replicas != w.Spec.Replicas {
				return fmt.Errorf("%s has %d pods of %d: %s", w.Metadata.Name, w.Status.Replicas, w.Spec.Replicas, ns.refusals())
			}
		}
	}
	if found == 0 {
		return errors.New("there is no workload")
	}
	return nil
}

// refusals are the events that say why pods could not be made.
func (ns *tenancy) refusals() string {
	var events struct {
		Items []struct {
			Message string `json:"message"`
		} `json:"items"`
	}
	if err := ns.get("events?fieldSelector=reason=FailedCreate", &events); err != nil {
		return err.Error()
	}
	var messages []string
	for _, event := range events.Items {
		messages = append(messages, event.Message)
	}
	return strings.Join(messages, "\n")
}

// TestDefaultsInstall: the chart as it is, in a namespace under the restricted level.
func TestDefaultsInstall(t *testing.T) {
	t.Parallel()
	ns := newTenancy(t)
	notes := ns.helm("install", "refresher", chart())
	ns.eventually("the pods are made", ns.made)

	var found []string
	kinds := "serviceaccounts,configmaps,services,statefulsets,poddisruptionbudgets,persistentvolumeclaims,pods"
	for name := range strings.FieldsSeq(ns.kubectl("get", kinds, "--output=name")) {
		found = append(found, name)
	}
	want := []string{
		"configmap/kube-root-ca.crt", "configmap/refresher",
		"persistentvolumeclaim/spool-refresher-0", "persistentvolumeclaim/spool-refresher-1",
		"pod/refresher-0", "pod/refresher-1", "poddisruptionbudget.policy/refresher",
		"service/refresher", "service/refresher-headless", "serviceaccount/default", "serviceaccount/refresher",
		"statefulset.apps/refresher",
	}
	slices.Sort(found)
	if !slices.Equal(found, want) {
		t.Errorf("there are\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	for _, say := range []string{"refresher vault setup", "helm test refresher", "spools' volumes stay"} {
		if !strings.Contains(notes, say) {
			t.Errorf("the notes do not say %q:\n%s", say, notes)
		}
	}
}

// TestPrivilegedIsRefused: what the test above shows is shown by the level, which lets
// nothing else in.
func TestPrivilegedIsRefused(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]map[string]any{
		"privileged": {"securityContext": map[string]any{"privileged": true, "allowPrivilegeEscalation": true}},
		"as root":    {"podSecurityContext": map[string]any{"runAsUser": 0, "runAsNonRoot": false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := newTenancy(t)
			_, err := ns.tryHelm("install", "refresher", chart(), ns.values(values))
			if err == nil || !strings.Contains(err.Error(), "would violate PodSecurity") {
				t.Errorf("the server does not warn: %v", err)
			}
			ns.eventually("the pods are refused", func() error {
				if said := ns.refusals(); !strings.Contains(said, `violates PodSecurity "restricted:latest"`) {
					return errors.New(said)
				}
				return nil
			})
			if pods, err := ns.pods(""); err != nil || len(pods) != 0 {
				t.Errorf("there are %d pods, %v", len(pods), err)
			}
		})
	}
}

// TestEveryFeatureInstalls installs the chart with each of its ci values files: the
// server takes all objects and warns of nothing, the controllers can make the pods, and
// the pod of the Helm test is admitted.
func TestEveryFeatureInstalls(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(chart(), "ci", "*-values.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no values files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), "-values.yaml"), func(t *testing.T) {
			t.Parallel()
			ns := newTenancy(t)
			values := "--values=" + file
			manifest := ns.helm("template", "refresher", chart(), values)
			where := ns.prepare(manifest)
			ns.helm("install", "refresher", chart(), values)
			where.eventually("the pods are made", where.made)
			if strings.Contains(manifest, "helm.sh/hook: test") {
				ns.doctorIsAdmitted(where, manifest)
			}
		})
	}
}

var (
	namespaced    = regexp.MustCompile(`(?m)^  namespace: "?([a-z0-9-]+)"?$`)
	account       = regexp.MustCompile(`(?m)^ *serviceAccountName: "?([a-z0-9-]+)"?$`)
	ownAccount    = regexp.MustCompile(`(?m)^kind: ServiceAccount$`)
	priorityClass = regexp.MustCompile(`(?m)^ *priorityClassName: "?([a-z0-9-]+)"?$`)
)

// prepare makes what the values say is there already, and returns the namespace that
// the release's pods are in.
func (ns *tenancy) prepare(manifest string) *tenancy {
	ns.t.Helper()
	where := ns
	for document := range strings.SplitSeq(manifest, "\n---\n") {
		name := namespaced.FindStringSubmatch(document)
		if name == nil || name[1] == ns.name {
			continue
		}
		other := namedTenancy(ns.t, name[1])
		if strings.Contains(document, "\nkind: StatefulSet\n") {
			where = other
		}
	}
	if name := account.FindStringSubmatch(manifest); name != nil && name[1] != "default" && !ownAccount.MatchString(manifest) {
		where.kubectl("create", "serviceaccount", name[1])
	}
	if name := priorityClass.FindStringSubmatch(manifest); name != nil && !strings.HasPrefix(name[1], "system-") {
		where.kubectl("create", "priorityclass", name[1], "--value=1000")
	}
	return where
}

// doctorIsAdmitted sends the pod of the Helm test to the server, which does everything
// but store it.
func (ns *tenancy) doctorIsAdmitted(where *tenancy, manifest string) {
	ns.t.Helper()
	for document := range strings.SplitSeq(manifest, "\n---\n") {
		if !strings.Contains(document, "helm.sh/hook: test") {
			continue
		}
		file := filepath.Join(ns.t.TempDir(), "doctor.yaml")
		if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
			ns.t.Fatal(err)
		}
		where.kubectl("create", "--dry-run=server", "--filename="+file)
	}
}
