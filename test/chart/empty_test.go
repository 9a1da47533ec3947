package chart

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// everything switches on all that is off by default, in two ways, so that an empty
// value is seen wherever it is used.
var everything = []object{
	{
		"serviceMonitor": object{"enabled": true}, "prometheusRule": object{"enabled": true},
		"grafanaDashboard": object{"enabled": true}, "networkPolicy": object{"enabled": true},
		"ingress": object{"enabled": true, "hosts": []any{object{"host": "a.example.com", "paths": []any{object{"path": "/console", "pathType": "Prefix"}}}}},
		"redis":   object{"existingSecret": "redis", "tls": object{"enabled": true, "caSecret": object{"name": "ca"}}},
		"vault":   object{"caSecret": object{"name": "ca"}},
	},
	{
		"podMonitor": object{"enabled": true}, "networkPolicy": object{"enabled": true},
		"redis":       object{"dev": object{"enabled": true}},
		"persistence": object{"enabled": false},
		"vault":       object{"auth": object{"method": "approle", "approle": object{"existingSecret": "approle"}}},
	},
}

// TestEmptyValues empties each section and each value, as a values file does in which
// all below a key is commented out. Either it renders, with nothing in it that
// Kubernetes would read as null, or the message names the key.
func TestEmptyValues(t *testing.T) {
	t.Parallel()
	paths := map[string]bool{}
	for _, path := range documented(t) {
		for keys := strings.Split(path, "."); len(keys) > 0; keys = keys[:len(keys)-1] {
			paths[strings.Join(keys, ".")] = true
		}
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			for i, values := range everything {
				if _, there := values[strings.Split(path, ".")[0]]; i > 0 && !there {
					continue // nothing differs from the first
				}
				file := filepath.Join(t.TempDir(), "values.yaml")
				if err := os.WriteFile(file, []byte(toJSON(t, values)), 0o600); err != nil {
					t.Fatal(err)
				}
				empty := filepath.Join(t.TempDir(), "empty.yaml")
				if err := os.WriteFile(empty, []byte(toJSON(t, nothingAt(strings.Split(path, ".")))), 0o600); err != nil {
					t.Fatal(err)
				}
				text, err := template(t, chartDir, "--values="+file, "--values="+empty)
				if err != nil {
					if !refusal(path).MatchString(err.Error()) {
						t.Errorf("of everything %d, the message does not say what to do: %v", i, err)
					}
					continue
				}
				for _, o := range objects(t, text) {
					if where := null(o, ""); where != "" {
						t.Errorf("of everything %d, %s%s is null", i, o["kind"], where)
					}
				}
			}
		})
	}
}

// nothingAt returns values in which there is null at a path.
func nothingAt(keys []string) object {
	if len(keys) == 1 {
		return object{keys[0]: nil}
	}
	return object{keys[0]: nothingAt(keys[1:])}
}

// refusal matches what the schema says of a key that is missing, and what the templates
// say of a value that must be set.
func refusal(path string) *regexp.Regexp {
	keys := strings.Split(path, ".")
	above := strings.TrimSuffix("/"+strings.Join(keys[:len(keys)-1], "/"), "/")
	return regexp.MustCompile(`at '` + above + `': missing propert(y|ies) .*'` + keys[len(keys)-1] + `'|\): [A-Za-z.]+: .*` + regexp.QuoteMeta(path) + `|\): ` + regexp.QuoteMeta(path) + `: `)
}

// null returns where there is a null in an object.
func null(value any, path string) string {
	switch v := value.(type) {
	case nil:
		return path
	case object:
		for key, below := range v {
			if where := null(below, path+"."+key); where != "" {
				return where
			}
		}
	case []any:
		for _, below := range v {
			if where := null(below, path+"[]"); where != "" {
				return where
			}
		}
	}
	return ""
}

// TestEmptyValuesRender are those that people do leave empty: these must not be refused.
func TestEmptyValuesRender(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"config", "commonLabels", "imagePullSecrets", "annotations", "podAnnotations", "podLabels", "resources", "nodeSelector",
		"tolerations", "affinity", "topologySpreadConstraints", "extraEnv", "extraArgs", "extraObjects", "updateStrategy",
		"podSecurityContext", "securityContext", "redis.addresses", "image.tag", "persistence.labels", "persistence.storageClass",
		"prometheusRule.extraGroups", "prometheusRule.rules", "prometheusRule.ruleLabels", "terminationGracePeriodSeconds",
		"startupProbe", "livenessProbe", "readinessProbe",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			keys := strings.Split(path, ".")
			values := nothingAt(keys)
			if path == "redis.addresses" {
				values["replicaCount"] = 1
			}
			if keys[0] == "prometheusRule" {
				values[keys[0]].(object)["enabled"] = true
			}
			file := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(file, []byte(toJSON(t, values)), 0o600); err != nil {
				t.Fatal(err)
			}
			mustTemplate(t, "--values="+file)
		})
	}
}

// TestProbesAreSwitchedOff sees that an empty probe is none.
func TestProbesAreSwitchedOff(t *testing.T) {
	t.Parallel()
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		set := find(t, objects(t, mustTemplate(t, "--set-json", probe+"=null")), "StatefulSet", "r-refresher")
		if _, there := container(t, set, "refresher")[probe]; there {
			t.Errorf("the %s is still there", probe)
		}
	}
}
