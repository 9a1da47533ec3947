package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfiguration has the service itself check the configuration and the
// environment that each ci values file gives it.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range cases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out := checkConfig(t, objects(t, mustTemplate(t, "--values="+c.file)))
			if c.name == "single" && strings.Contains(out, "vault.address: is plain http") {
				_, out, _ = strings.Cut(out, "\n")
			}
			if out != "ok\n" {
				t.Errorf("the service says of its configuration:\n%s", out)
			}
		})
	}
}

// TestConfigurationIsChecked sees that a bad setting would be found.
func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	out := checkConfig(t, objects(t, mustTemplate(t, "--set", "config.scheduler.wrokers=3")))
	if !strings.Contains(out, "scheduler.wrokers") || !strings.Contains(out, "scheduler.workers") {
		t.Errorf("the service says of a misspelt key: %s", out)
	}
}

// checkConfig returns what "refresher config check" says in the pod's place.
func checkConfig(t *testing.T, all []object) string {
	t.Helper()
	dir := t.TempDir()
	var set object
	for _, o := range all {
		if o["kind"] == "StatefulSet" {
			set = o
		}
	}
	name := at[string](set, "metadata", "name")
	text := at[string](find(t, all, "ConfigMap", name), "data", "config.yaml")
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	service := container(t, set, "refresher")
	out, err := run(t.Context(), dir, environment(t, service), program("refresher"), "config", "check")
	if err != nil {
		return err.Error()
	}
	return out
}

// container returns a container of a StatefulSet's pods.
func container(t *testing.T, set object, name string) object {
	t.Helper()
	for _, c := range at[[]any](set, "spec", "template", "spec", "containers") {
		if c, _ := c.(object); c["name"] == name {
			return c
		}
	}
	t.Fatalf("there is no container %s", name)
	return nil
}

// environment returns a container's variables, with something that may be there in
// the place of what a Secret holds. The configuration file is in the working directory.
func environment(t *testing.T, c object) []string {
	t.Helper()
	var env []string
	for _, variable := range at[[]any](c, "env") {
		v, _ := variable.(object)
		name := at[string](v, "name")
		value := at[string](v, "value")
		switch {
		case name == "REFRESHER_CONFIG":
			value = "config.yaml"
		case strings.HasSuffix(name, "_URL"):
			value = "rediss://user:from-a-secret@redis.example.com:6380"
		case strings.HasSuffix(name, "_PROXY"):
			value = "http://user:from-a-secret@proxy.example.com:3128"
		case v["valueFrom"] != nil:
			value = "from-a-secret"
		}
		env = append(env, name+"="+value)
	}
	if len(env) == 0 {
		t.Fatal("the container has no environment")
	}
	return env
}
