package chart

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// documented returns the paths of all values that values.yaml documents, and complains
// about those that it does not.
func documented(t *testing.T) []string {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(chartDir, "values.yaml"))), &root); err != nil {
		t.Fatal(err)
	}
	var paths []string
	var walk func(node *yaml.Node, path string)
	walk = func(node *yaml.Node, path string) {
		for i := 0; i < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			below := strings.TrimPrefix(path+"."+key.Value, ".")
			switch {
			case strings.Contains(key.HeadComment, "# --"):
				paths = append(paths, below)
			case value.Kind == yaml.MappingNode && len(value.Content) > 0:
				walk(value, below)
			default:
				t.Errorf("values.yaml:%d: %s has no comment that begins with # --", key.Line, below)
			}
		}
	}
	walk(root.Content[0], "")
	return paths
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readYAML(t *testing.T, file string) object {
	t.Helper()
	values := object{}
	if err := yaml.Unmarshal([]byte(read(t, file)), &values); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return values
}

// TestEveryValueIsUsed takes each value out of a ci values file that sets it: that
// must change what is rendered.
func TestEveryValueIsUsed(t *testing.T) {
	t.Parallel()
	all, with := cases(t), map[string]string{}
	for _, c := range all {
		with[c.name] = mustTemplate(t, "--values="+c.file)
	}
	for _, path := range documented(t) {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			keys := strings.Split(path, ".")
			for _, c := range all {
				values := readYAML(t, c.file)
				if !remove(values, keys) {
					continue
				}
				file := filepath.Join(t.TempDir(), "values.yaml")
				if err := os.WriteFile(file, []byte(toJSON(t, values)), 0o600); err != nil {
					t.Fatal(err)
				}
				without, err := template(t, chartDir, "--values="+file)
				if err != nil || without != with[c.name] {
					return
				}
			}
			t.Error("no file in ci sets it to anything that is seen in what is rendered")
		})
	}
}

// remove takes a path out of values, and reports whether it was there.
func remove(values object, keys []string) bool {
	value, ok := values[keys[0]]
	if len(keys) == 1 {
		delete(values, keys[0])
		return ok
	}
	below, _ := value.(object)
	return below != nil && remove(below, keys[1:])
}

// TestSchemaHasEveryValue compares the keys of values.yaml with values.schema.json,
// which must be strict but where anything may be. It has "enabled" besides, which Helm
// reads of a chart that another one has as a conditional dependency.
func TestSchemaHasEveryValue(t *testing.T) {
	t.Parallel()
	var schema object
	if err := json.Unmarshal([]byte(read(t, filepath.Join(chartDir, "values.schema.json"))), &schema); err != nil {
		t.Fatal(err)
	}
	definitions := at[object](schema, "$defs")
	var compare func(path string, values, schema object)
	compare = func(path string, values, schema object) {
		if reference, _ := schema["$ref"].(string); reference != "" {
			schema = at[object](definitions, strings.TrimPrefix(reference, "#/$defs/"))
		}
		properties := at[object](schema, "properties")
		if properties == nil {
			return // anything may be there
		}
		if path != ".global" && schema["additionalProperties"] != false {
			t.Errorf("the schema lets anything stand below %s", path)
		}
		for key, value := range values {
			description, ok := properties[key].(object)
			if !ok {
				t.Errorf("the schema does not know %s.%s", path, key)
				continue
			}
			if below, ok := value.(object); ok {
				compare(path+"."+key, below, description)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(properties)) {
			if _, ok := values[key]; !ok && !optional[path] && path+"."+key != ".enabled" {
				t.Errorf("values.yaml does not have %s.%s, which the schema has", path, key)
			}
		}
	}
	compare("", readYAML(t, filepath.Join(chartDir, "values.yaml")), schema)
}

// optional are the maps of which values.yaml does not name every key, since they are Kubernetes's.
var optional = map[string]bool{
	".resources": true, ".redis.dev.resources": true, ".updateStrategy": true,
	".startupProbe": true, ".livenessProbe": true, ".readinessProbe": true,
}

// TestDocumentation sees that helm-docs has written the chart's README.md.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(chartDir)); err != nil {
		t.Fatal(err)
	}
	_, err := run(t.Context(), dir, []string{"HOME=" + dir}, program("helm-docs"), "--sort-values-order=file")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join(chartDir, "README.md"), read(t, filepath.Join(dir, "README.md")))
}
