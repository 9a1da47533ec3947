package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// chart is the chart under test.
func chart() string { return filepath.Join(repository(), "charts", "refresher") }

// kubectl runs kubectl as the cluster's administrator and returns what it prints.
func (c *controlPlane) kubectl(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	return c.runTool(ctx, stdin, "kubectl", append(args, "--cache-dir="+filepath.Join(c.dir, "kubectl"))...)
}

// runTool runs a tool of the repository's against the cluster. What it prints on
// standard error is an error: these are the warnings of the API server's and its own.
func (c *controlPlane) runTool(ctx context.Context, stdin io.Reader, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool(name), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "HELM_CACHE_HOME="+c.dir, "HELM_CONFIG_HOME="+c.dir, "HELM_DATA_HOME="+c.dir)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &said
	err := cmd.Run()
	if err == nil && said.Len() > 0 {
		err = errors.New("it warns")
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s %v: %w\n%s%s", name, args, err, said.String(), out.String())
	}
	return out.String(), nil
}

// tenancy is a namespace for one test, under the restricted Pod Security level.
type tenancy struct {
	t    *testing.T
	name string
}

// newTenancy makes a namespace with a name of its own.
func newTenancy(t *testing.T) *tenancy {
	t.Helper()
	return makeTenancy(t, map[string]any{"generateName": "test-"})
}

// namedTenancy makes a namespace of a certain name, unless another test has.
func namedTenancy(t *testing.T, name string) *tenancy {
	t.Helper()
	return makeTenancy(t, map[string]any{"name": name})
}

// makeTenancy returns when the namespace has its service account.
func makeTenancy(t *testing.T, about map[string]any) *tenancy {
	t.Helper()
	about["labels"] = map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest",
		"pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/audit": "restricted",
	}
	var created struct {
		Metadata metadata `json:"metadata"`
	}
	err := kube.api.post(t.Context(), "/api/v1/namespaces", map[string]any{"metadata": about}, &created)
	if name, fixed := about["name"].(string); fixed && hasCode(err, http.StatusConflict) {
		created.Metadata.Name, err = name, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	ns := &tenancy{t, created.Metadata.Name}
	ns.eventually("the namespace has a service account", func() error { return ns.get("serviceaccounts/default", nil) })
	return ns
}

// get reads an object of the core group.
func (ns *tenancy) get(path string, out any) error {
	return kube.api.get(ns.t.Context(), "/api/v1/namespaces/"+ns.name+"/"+path, out)
}

// getFrom reads an object of another group, such as apps/v1.
func (ns *tenancy) getFrom(group, path string, out any) error {
	return kube.api.get(ns.t.Context(), "/apis/"+group+"/namespaces/"+ns.name+"/"+path, out)
}

// kubectl runs kubectl in the namespace. It must succeed, and warn of nothing.
func (ns *tenancy) kubectl(args ...string) string {
	ns.t.Helper()
	out, err := kube.kubectl(ns.t.Context(), nil, append(args, "--namespace="+ns.name)...)
	if err != nil {
		ns.t.Fatal(err)
	}
	return out
}

// helm runs helm in the namespace. It must succeed, and warn of nothing.
func (ns *tenancy) helm(args ...string) string {
	ns.t.Helper()
	out, err := ns.tryHelm(args...)
	if err != nil {
		ns.t.Fatal(err)
	}
	return out
}

func (ns *tenancy) tryHelm(args ...string) (string, error) {
	return kube.runTool(ns.t.Context(), nil, "helm", append(args, "--namespace="+ns.name)...)
}

// values writes a values file (JSON is YAML too) and returns the flag that names it.
func (ns *tenancy) values(values map[string]any) string {
	ns.t.Helper()
	text, err := json.Marshal(values)
	if err != nil {
		ns.t.Fatal(err)
	}
	file, err := os.CreateTemp(ns.t.TempDir(), "values-*.yaml")
	if err != nil {
		ns.t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		ns.t.Fatal(err)
	}
	return "--values=" + file.Name()
}

// eventually asks until there is no error.
func (ns *tenancy) eventually(what string, try func() error) {
	ns.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-limit.C:
			ns.t.Fatalf("waited %s for this in vain: %s: %v", patience, what, err)
		case <-poll.C:
		}
	}
}

// pods returns the pods with a label, such as app.kubernetes.io/component=worker.
func (ns *tenancy) pods(selector string) ([]*pod, error) {
	var list struct {
		Items []*pod `json:"items"`
	}
	err := ns.get("pods?labelSelector="+selector, &list)
	return list.Items, err
}
