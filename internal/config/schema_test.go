package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"refresher/internal/credential"
)

// TestTags holds every declared key to the rules of the package comment.
func TestTags(t *testing.T) {
	t.Parallel()
	snake := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)*$`)
	numbers := []reflect.Type{reflect.TypeFor[int](), reflect.TypeFor[float64]()}
	types := append([]reflect.Type{durationType, fractionType, secretType, reflect.TypeFor[string](), reflect.TypeFor[bool]()}, numbers...)
	for _, k := range Keys() {
		_, checked := checkOf(k.check)
		for wrong, is := range map[string]bool{
			"its path is not snake_case":    !snake.MatchString(k.Path),
			"its doc is no sentence":        !strings.HasSuffix(k.Doc, "."),
			"nothing reads its type":        !slices.Contains(types, k.elem()),
			"it is a number without limits": slices.Contains(numbers, k.elem()) && (k.min == "" || k.max == ""),
			"its check does not exist":      !checked,
		} {
			if is {
				t.Errorf("%s: %s", k.Path, wrong)
			}
		}
	}
}

func TestVariablesAreUnique(t *testing.T) {
	t.Parallel()
	variables := map[string]string{envFile: "the file"}
	for _, k := range Keys() {
		for _, name := range append([]string{k.Env}, k.Aliases...) {
			if other, taken := variables[name]; taken {
				t.Errorf("%s and %s are both %s", other, k.Path, name)
			}
			if serviceLink.MatchString(name + "=x") {
				t.Errorf("%s looks like what Kubernetes sets for a Service", name)
			}
			variables[name] = k.Path
		}
	}
}

// TestDocumentedVariables are those that are promised to work without any file.
func TestDocumentedVariables(t *testing.T) {
	t.Parallel()
	names := map[string]string{
		"VAULT_ADDR": "vault.address", "VAULT_TOKEN": "vault.token", "VAULT_NAMESPACE": "vault.namespace", "VAULT_CACERT": "vault.ca_cert", "REDIS_URL": "redis.url",
		"REFRESHER_VAULT_MOUNT": "vault.mount", "REFRESHER_VAULT_PREFIX": "vault.prefix", "REFRESHER_HTTP_LISTEN": "http.listen",
		"REFRESHER_ESCROW_DIR": "escrow.dir", "REFRESHER_EGRESS_ALLOW": "egress.allow", "REFRESHER_LOG_LEVEL": "log.level",
		"REFRESHER_LOG_FORMAT": "log.format", "REFRESHER_RENEWAL_IN_FLIGHT_BOUND": "renewal.in_flight_bound",
	}
	for _, k := range Keys() {
		for _, name := range append([]string{k.Env}, k.Aliases...) {
			if path, ok := names[name]; ok && path == k.Path {
				delete(names, name)
			}
		}
	}
	if len(names) > 0 {
		t.Errorf("not there: %v", names)
	}
}

func TestSecretsAreSecret(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile(`(^|[._])(token|password|secret_id|proxy|url)$`)
	for _, k := range Keys() {
		if k.Secret != word.MatchString(k.Path) {
			t.Errorf("%s: secret is %v", k.Path, k.Secret)
		}
		if k.Secret != (k.typ == reflect.TypeFor[credential.Secret]()) {
			t.Errorf("%s: type is %s", k.Path, k.typ)
		}
	}
}

// TestRulesNameKeys keeps a rule from being about a key that was renamed.
func TestRulesNameKeys(t *testing.T) {
	t.Parallel()
	s := newSchema()
	for _, r := range allRules() {
		for _, path := range r.paths {
			if n := s.byPath[path]; n == nil || n.key == nil {
				t.Errorf("a rule is about %s, which is no key", path)
			}
		}
	}
}

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	c, sources, err := Load(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, Default()) {
		t.Error("Load of nothing is not Default")
	}
	if warnings := Warnings(c, sources); len(warnings) > 0 {
		t.Errorf("the defaults warn: %v", warnings)
	}
	for _, k := range Keys() {
		if sources[k.Path] != SourceDefault {
			t.Errorf("%s comes from %q", k.Path, sources[k.Path])
		}
	}
}

func TestProviderLimits(t *testing.T) {
	t.Parallel()
	rest := Limits{Rate: 50, Burst: 100, Concurrency: 16}
	want := map[string]Limits{"checkfront": rest, "bookeo": rest, "clicrdv": rest, "ankor": rest, "kibo": {Rate: 10, Burst: 20, Concurrency: 4}}
	if got := Default().Providers.Limits(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
