package chart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The modules that describe the objects, by the folder whose go.mod has their versions.
const (
	kubernetes      = "k8s.io/kubernetes"
	kubernetesIn    = "../../tools/kube"
	prometheus      = "github.com/prometheus-operator/prometheus-operator"
	prometheusIn    = "../../tools/chart"
	objectMeta      = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
	definitionsPath = "#/definitions/"
)

// schemas makes JSON schemas in which no field may be there that is not described,
// from the API description of Kubernetes and from CustomResourceDefinitions.
type schemas struct {
	definitions map[string]object
	crds        map[string]object // by apiVersion and kind
}

// loadSchemas reads the descriptions from the modules' sources.
func loadSchemas(t *testing.T) schemas {
	t.Helper()
	var swagger struct{ Definitions map[string]object }
	text, err := os.ReadFile(filepath.Join(moduleDir(t, kubernetesIn, kubernetes), "api/openapi-spec/swagger.json"))
	if err == nil {
		err = json.Unmarshal(text, &swagger)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := schemas{definitions: swagger.Definitions, crds: map[string]object{}}
	files, err := filepath.Glob(filepath.Join(moduleDir(t, prometheusIn, prometheus), "example/prometheus-operator-crd/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found no CustomResourceDefinitions: %v", err)
	}
	for _, file := range files {
		s.addCRD(t, file)
	}
	return s
}

// moduleDir returns where the Go tool keeps a module's source, and has it fetched if
// it is not there; go.sum holds its checksum.
func moduleDir(t *testing.T, dir, module string) string {
	t.Helper()
	out, err := run(t.Context(), dir, os.Environ(), "go", "mod", "download", "-json", module)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Dir == "" {
		t.Fatalf("no folder of %s: %v: %s", module, err, out)
	}
	return answer.Dir
}

func (s schemas) addCRD(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema object `yaml:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, version := range crd.Spec.Versions {
		schema := version.Schema.OpenAPIV3Schema
		properties, _ := schema["properties"].(object)
		properties["metadata"] = object{"$ref": definitionsPath + objectMeta}
		s.crds[crd.Spec.Group+"/"+version.Name+" "+crd.Spec.Names.Kind] = schema
	}
}

// write writes the schema of a kind of object to the file where kubeconform looks for it.
func (s schemas) write(dir, apiVersion, kind string) error {
	description, err := s.describe(apiVersion, kind)
	if err != nil {
		return err
	}
	schema, err := s.strict(description, nil)
	if err != nil {
		return fmt.Errorf("%s %s: %w", apiVersion, kind, err)
	}
	properties, _ := schema["properties"].(object)
	properties["apiVersion"] = object{"const": apiVersion}
	properties["kind"] = object{"const": kind}
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	group, version, grouped := strings.Cut(apiVersion, "/")
	name := kind + "-" + group
	if grouped {
		group, _, _ = strings.Cut(group, ".")
		name = kind + "-" + group + "-" + version
	}
	return os.WriteFile(filepath.Join(dir, strings.ToLower(name)+".json"), text, 0o600)
}

// describe finds the description of a kind of object.
func (s schemas) describe(apiVersion, kind string) (object, error) {
	if crd := s.crds[apiVersion+" "+kind]; crd != nil {
		return crd, nil
	}
	group, version, grouped := strings.Cut(apiVersion, "/")
	if !grouped {
		group, version = "", group
	}
	for _, definition := range s.definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		// Those of several kinds, such as DeleteOptions, are no objects.
		if len(kinds) != 1 {
			continue
		}
		if k, _ := kinds[0].(object); k["group"] == group && k["version"] == version && k["kind"] == kind {
			return definition, nil
		}
	}
	return nil, fmt.Errorf("nobody describes %s %s", apiVersion, kind)
}

// strict copies a description with its references resolved, and without what JSON
// schemas do not know. Path are the references on the way.
func (s schemas) strict(node object, path []string) (object, error) {
	if reference, _ := node["$ref"].(string); reference != "" {
		name := strings.TrimPrefix(reference, definitionsPath)
		switch {
		case slices.Contains(path, name):
			return nil, fmt.Errorf("%s holds itself, which this does not do", name)
		case s.definitions[name] == nil:
			return nil, fmt.Errorf("nothing describes %s", name)
		case strings.HasSuffix(name, ".resource.Quantity"):
			return object{"type": []string{"string", "number"}}, nil
		}
		return s.strict(s.definitions[name], append(slices.Clip(path), name))
	}
	if node["format"] == "int-or-string" || node["x-kubernetes-int-or-string"] == true {
		return object{"type": []string{"string", "integer"}}, nil
	}
	copied := object{}
	for _, key := range []string{"type", "enum", "required", "pattern", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "oneOf", "anyOf"} {
		if value, ok := node[key]; ok {
			copied[key] = value
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		below, ok := node[key].(object)
		if !ok {
			continue
		}
		schema, err := s.strict(below, path)
		if err != nil {
			return nil, err
		}
		copied[key] = schema
	}
	properties, ok := node["properties"].(object)
	if !ok {
		return copied, nil
	}
	below, err := s.strictProperties(properties, path)
	if err != nil {
		return nil, err
	}
	copied["properties"] = below
	if node["x-kubernetes-preserve-unknown-fields"] != true {
		copied["additionalProperties"] = false
	}
	return copied, nil
}

func (s schemas) strictProperties(properties object, path []string) (object, error) {
	copied := maps.Clone(properties)
	for name, below := range properties {
		description, ok := below.(object)
		if !ok {
			return nil, fmt.Errorf("property %s has no description", name)
		}
		schema, err := s.strict(description, path)
		if err != nil {
			return nil, err
		}
		copied[name] = schema
	}
	return copied, nil
}

// TestKubernetesKnowsEveryField holds all manifests against Kubernetes's own
// description of its objects, and the Prometheus operator's of its.
func TestKubernetesKnowsEveryField(t *testing.T) {
	t.Parallel()
	manifests := map[string]string{}
	for _, c := range cases(t) {
		manifests[c.name] = mustTemplate(t, "--values="+c.file)
	}
	conform(t, manifests)
}

// conform complains about every object of manifests that Kubernetes would not know.
func conform(t *testing.T, manifests map[string]string) {
	t.Helper()
	schemaDir, dir := t.TempDir(), t.TempDir()
	s := loadSchemas(t)
	written, count := map[string]bool{}, 0
	for name, text := range manifests {
		for _, o := range objects(t, text) {
			apiVersion, kind := at[string](o, "apiVersion"), at[string](o, "kind")
			if count++; written[apiVersion+kind] {
				continue
			}
			written[apiVersion+kind] = true
			if err := s.write(schemaDir, apiVersion, kind); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	result := kubeconform(t, schemaDir, dir)
	for _, r := range result.Resources {
		t.Errorf("%s: %s %s: %s", filepath.Base(r.Filename), r.Kind, r.Name, r.Msg)
	}
	if result.Summary.Valid != count {
		t.Errorf("%d of %d objects are valid", result.Summary.Valid, count)
	}
}

// TestUnknownFieldsAreFound sees that the schemas are strict, at every depth.
func TestUnknownFieldsAreFound(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ right, wrong string }{
		"of a StatefulSet":      {"podManagementPolicy: Parallel", "podManagmentPolicy: Parallel"},
		"of a container":        {"imagePullPolicy: IfNotPresent", "pullPolicy: IfNotPresent"},
		"of a claim":            {"accessModes:\n          - ReadWriteOncePod", "accessMode: ReadWriteOncePod"},
		"of metadata":           {"labels:\n", "label:\n"},
		"of a number":           {"replicas: 2", `replicas: "2"`},
		"of a probe's port":     {"port: http\n", "port: true\n"},
		"of a budget":           {"maxUnavailable: 1", "maxUnavailible: 1"},
		"of a custom resource":  {"podMetricsEndpoints:", "endpoints:"},
		"within such":           {`interval: "30s"`, `intervall: "30s"`},
		"of its own validation": {`interval: "30s"`, "interval: often"},
	}
	schemaDir := t.TempDir()
	manifests := mustTemplate(t, "--set", "podMonitor.enabled=true")
	s := loadSchemas(t)
	for _, o := range objects(t, manifests) {
		if err := s.write(schemaDir, at[string](o, "apiVersion"), at[string](o, "kind")); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := strings.Replace(manifests, test.right, test.wrong, 1)
			if wrong == manifests {
				t.Fatalf("%q is not in the manifests", test.right)
			}
			file := filepath.Join(t.TempDir(), "wrong.yaml")
			if err := os.WriteFile(file, []byte(wrong), 0o600); err != nil {
				t.Fatal(err)
			}
			if result := kubeconform(t, schemaDir, file); result.Summary.Invalid != 1 {
				t.Errorf("%d objects are invalid, want 1: %+v", result.Summary.Invalid, result.Resources)
			}
		})
	}
}

// verdict is what kubeconform says.
type verdict struct {
	Resources []struct{ Filename, Kind, Name, Msg string }
	Summary   struct{ Valid, Invalid, Errors, Skipped int }
}

func kubeconform(t *testing.T, schemaDir, manifests string) verdict {
	t.Helper()
	out, err := run(t.Context(), "", nil, program("kubeconform"), "-strict", "-summary", "-output=json",
		"-schema-location="+schemaDir+"/{{.ResourceKind}}{{.KindSuffix}}.json", manifests)
	var v verdict
	if bad := json.NewDecoder(bytes.NewBufferString(out)).Decode(&v); bad != nil {
		t.Fatalf("kubeconform does not answer: %v, %v", bad, err)
	}
	return v
}
