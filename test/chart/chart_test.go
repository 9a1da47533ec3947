package chart

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	chartDir  = "../../charts/refresher"
	release   = "r"
	namespace = "apps"
)

var update = flag.Bool("update", false, "write the golden files and the chart's README.md")

func TestMain(m *testing.M) {
	flag.Parse()
	var missing []error
	for _, name := range []string{"helm", "kubeconform", "helm-docs", "refresher"} {
		if _, err := os.Stat(program(name)); err != nil {
			missing = append(missing, err)
		}
	}
	if len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "%v\nrun make tools-chart build\n", errors.Join(missing...))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// program returns the absolute path of what the Makefile built.
func program(name string) string {
	path, err := filepath.Abs(filepath.Join("../../bin", name))
	if err != nil {
		panic(err) // there is no working directory
	}
	return path
}

// run runs a program without anything of this machine's environment that could
// change what it does, and returns its standard output, or its standard error.
func run(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%w: %s%s", err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// helm runs Helm with an empty home, so that no plugin and no repository has a say.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return run(t.Context(), "", []string{"HOME=" + t.TempDir()}, program("helm"), args...)
}

// template renders a chart as "helm install" would.
func template(t *testing.T, chart string, args ...string) (string, error) {
	t.Helper()
	return helm(t, append([]string{"template", release, chart, "--namespace=" + namespace}, args...)...)
}

// mustTemplate renders the chart.
func mustTemplate(t *testing.T, args ...string) string {
	t.Helper()
	text, err := template(t, chartDir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// object is a Kubernetes object, or a part of one.
type object = map[string]any

// objects reads manifests.
func objects(t *testing.T, manifests string) []object {
	t.Helper()
	var all []object
	for decoder := yaml.NewDecoder(strings.NewReader(manifests)); ; {
		var o object
		switch err := decoder.Decode(&o); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatalf("%v in:\n%s", err, manifests)
		case len(o) > 0:
			all = append(all, o)
		}
	}
}

// find returns the only object of a kind and name.
func find(t *testing.T, all []object, kind, name string) object {
	t.Helper()
	var found []object
	for _, o := range all {
		if o["kind"] == kind && at[string](o, "metadata", "name") == name {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d objects %s %s, want 1", len(found), kind, name)
	}
	return found[0]
}

// at returns what is at a path in an object; the zero value if nothing of that type is.
func at[T any](o object, path ...string) T {
	var value any = o
	for _, key := range path {
		m, _ := value.(object)
		value = m[key]
	}
	found, _ := value.(T)
	return found
}

// ciCase is one of the chart's ci values files.
type ciCase struct{ name, file string }

// cases returns the chart's ci values files, one a feature.
func cases(t *testing.T) []ciCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found no values files: %v", err)
	}
	var all []ciCase
	for _, file := range files {
		all = append(all, ciCase{strings.TrimSuffix(filepath.Base(file), "-values.yaml"), file})
	}
	return all
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: go test -update writes it", err)
	}
	if got == string(want) {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		if i >= len(gotLines) || i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Errorf("%s differs from line %d on; if that is meant, go test -update writes it. It has:\n%s\nand should have:\n%s",
				file, i+1, excerpt(gotLines, i), excerpt(wantLines, i))
			return
		}
	}
}

func excerpt(lines []string, i int) string {
	return strings.Join(lines[min(i, len(lines)):min(i+8, len(lines))], "\n")
}
