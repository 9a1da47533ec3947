package chart

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
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

// TestRedisSettings sees that what the values say of Redis reaches the service, wherever
// its address comes from, and that the service takes it.
func TestRedisSettings(t *testing.T) {
	t.Parallel()
	const elsewhere = `extraEnv=[{"name":"REFRESHER_REDIS_ADDRESSES","value":"a:1,b:2"}]`
	tests := map[string]struct {
		set  []string
		want object
	}{
		"a URL from a Secret, with a CA": {
			[]string{`redis={"existingSecret":"redis","secretKeys":{"url":"url"},"tls":{"enabled":true,"caSecret":{"name":"ca"}}}`},
			object{"mode": "standalone", "addresses": []any{}, "tls": object{"enabled": true, "ca_cert": "/var/run/secrets/refresher/redis-ca/ca.crt"}},
		},
		"a cluster of the environment": {
			[]string{`redis={"mode":"cluster","addresses":[]}`, elsewhere},
			object{"mode": "cluster", "addresses": []any{}},
		},
		"Sentinels of the environment": {
			[]string{`redis={"mode":"sentinel","masterName":"m","addresses":[],"username":"u"}`, elsewhere},
			object{"mode": "sentinel", "master_name": "m", "addresses": []any{}, "username": "u"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var args []string
			for _, set := range test.set {
				args = append(args, "--set-json", set)
			}
			all := objects(t, mustTemplate(t, args...))
			var config object
			if err := yaml.Unmarshal([]byte(at[string](find(t, all, "ConfigMap", "r-refresher"), "data", "config.yaml")), &config); err != nil {
				t.Fatal(err)
			}
			if got := config["redis"]; !reflect.DeepEqual(got, test.want) {
				t.Errorf("of Redis the service is told %v, want %v", got, test.want)
			}
			if out := checkConfig(t, all); out != "ok\n" {
				t.Errorf("the service says of its configuration:\n%s", out)
			}
		})
	}
}

// TestNetworkPolicyReachesRedis sees that there is a way to Redis wherever its address
// comes from, and none if there is no Redis.
func TestNetworkPolicyReachesRedis(t *testing.T) {
	t.Parallel()
	const nowhere = `redis={"addresses":[]}`
	tests := map[string]struct {
		set  []string
		want []any
	}{
		"an address":                   {[]string{`redis={"addresses":["r:7000"]}`}, []any{7000}},
		"a URL of a Secret":            {[]string{`redis={"existingSecret":"r","secretKeys":{"url":"u"}}`}, []any{6379}},
		"a URL of the environment":     {[]string{nowhere, `extraEnv=[{"name":"REDIS_URL","value":"redis://r"}]`}, []any{6379}},
		"addresses of the environment": {[]string{nowhere, `extraEnv=[{"name":"REFRESHER_REDIS_ADDRESSES","value":"r:6379"}]`}, []any{6379}},
		"no Redis":                     {[]string{nowhere, `replicaCount=1`}, nil},
		"a port of one's own":          {[]string{nowhere, `replicaCount=1`, `networkPolicy={"egress":{"redis":{"ports":[6380]}}}`}, []any{6380}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--set", "networkPolicy.enabled=true"}
			for _, set := range test.set {
				args = append(args, "--set-json", set)
			}
			policy := find(t, objects(t, mustTemplate(t, args...)), "NetworkPolicy", "r-refresher")
			var got []any
			for _, rule := range at[[]any](policy, "spec", "egress") {
				r, _ := rule.(object)
				for _, port := range at[[]any](r, "ports") {
					p, _ := port.(object)
					if number := p["port"]; number != 53 && number != 8200 && number != 443 {
						got = append(got, number)
					}
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("the ports besides names, Vault and providers are %v, want %v", got, test.want)
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
