package vault_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// serviceRules are the service's policy as capabilities by path.
func serviceRules(prefix string) map[string][]string {
	rules := map[string][]string{}
	for _, rule := range (vault.Settings{Prefix: prefix}).Policies(acme)[0].Rules {
		rules[rule.Path] = rule.Capabilities
	}
	return rules
}

func testSettings(t *testing.T, b backend) {
	client, settings := b.open(t)
	got, err := client.KVSettings(t.Context())
	want := vault.KVSettings{Type: "kv", Version: 2, ConfigKnown: true, MaxVersions: 10}
	if err != nil || got != want {
		t.Errorf("KV settings = %+v, %v, want %+v", got, err, want)
	}
	settings.Auth.Token = credential.Secret(b.token(t, map[string][]string{
		"secret/data/a/*": {"create", "update"}, "secret/data/a/b/*": {"read"},
	}))
	limited := mustOpen(t, settings)
	capabilities, err := limited.Capabilities(t.Context(), "secret/data/a/x", "secret/data/a/b/x", "secret/data/c")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		"secret/data/a/x": {"create", "update"}, "secret/data/a/b/x": {"read"}, "secret/data/c": {"deny"},
	} {
		slices.Sort(capabilities[path])
		if !slices.Equal(capabilities[path], want) {
			t.Errorf("capabilities on %s = %v, want %v", path, capabilities[path], want)
		}
	}
	if got, err := limited.KVSettings(t.Context()); err != nil || got.Version != 2 || got.ConfigKnown {
		t.Errorf("KV settings without read on the configuration = %+v, %v, want version 2 and nothing more", got, err)
	}
	root, err := client.Capabilities(t.Context(), "secret/data/a/x")
	if err != nil || !slices.Equal(root["secret/data/a/x"], []string{"root"}) {
		t.Errorf("capabilities of root = %v, %v", root, err)
	}
}

// The policy that Check asks for is enough for all that the service does.
func testCheck(t *testing.T, b backend) {
	root, settings := b.open(t)
	if problems := root.Check(t.Context()); len(problems) > 0 {
		t.Errorf("problems of root: %+v, want none", problems)
	}
	settings.Auth.Token = credential.Secret(b.token(t, serviceRules(settings.Prefix)))
	service := mustOpen(t, settings)
	if problems := service.Check(t.Context()); len(problems) > 0 {
		t.Errorf("problems of the service's policy: %+v, want none", problems)
	}
	if _, err := root.PutCredential(t.Context(), acme, map[string]string{"provider": "kibo"}, nil); err != nil {
		t.Fatal(err)
	}
	_, tenantsErr := service.Tenants(t.Context())
	_, namesErr := service.Names(t.Context(), "acme")
	_, credentialErr := service.Credential(t.Context(), acme)
	_, grantErr := service.PutGrant(t.Context(), acme, fullGrant(), 0)
	_, grantAgainErr := service.PutGrant(t.Context(), acme, fullGrant(), 1)
	_, tokenErr := service.PutToken(t.Context(), acme, fullToken(), 0)
	keyErr := service.CreateEscrowKey(t.Context(), "k1", vault.EscrowKey{Private: "cHJpdmF0ZTE=", Public: "cHVibGljMQ=="})
	_, keysErr := service.EscrowKeys(t.Context())
	for what, err := range map[string]error{
		"tenants": tenantsErr, "names": namesErr, "credential": credentialErr, "grant": grantErr, "grant again": grantAgainErr,
		"token": tokenErr, "escrow key": keyErr, "escrow keys": keysErr,
	} {
		if err != nil {
			t.Errorf("%s: the service's policy does not let it: %v", what, err)
		}
	}
	if _, err := service.PutCredential(t.Context(), acme, map[string]string{"provider": "kibo"}, nil); vault.Reason(err) != "denied" {
		t.Errorf("the service's policy lets it write credentials: %v", err)
	}
	if err := service.DeleteCredential(t.Context(), acme); vault.Reason(err) != "denied" {
		t.Errorf("the service's policy lets it delete credentials: %v", err)
	}
}

func testCheckWeakLogin(t *testing.T, b backend) {
	_, settings := b.open(t)
	rules := serviceRules(settings.Prefix)
	delete(rules, "secret/metadata/"+settings.Prefix+"/credentials/*")
	rules["secret/data/"+settings.Prefix+"/grants/*"] = []string{"read", "create"}
	settings.Auth.Token = credential.Secret(b.token(t, rules))
	err := vault.CheckError(mustOpen(t, settings).Check(t.Context()))
	if err == nil {
		t.Fatal("a login that lacks permissions passed")
	}
	for _, want := range []string{
		"may not list on secret/metadata/" + settings.Prefix + "/credentials/*",
		"update on secret/data/" + settings.Prefix + "/grants/*",
		`path "secret/data/` + settings.Prefix + `/grants/*" { capabilities = ["create", "read", "update"] }`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "may not read on secret/data/"+settings.Prefix+"/credentials") {
		t.Errorf("the error complains of what is permitted:\n%v", err)
	}
	settings.Auth.Token = credential.Secret(b.token(t, map[string][]string{"elsewhere/*": {"read"}}))
	if err := vault.CheckError(mustOpen(t, settings).Check(t.Context())); err == nil || !strings.Contains(err.Error(), "has this policy") {
		t.Errorf("check of a login that may nothing = %v", err)
	}
}

func testHealth(t *testing.T, b backend) {
	client, _ := b.open(t)
	health, err := client.Health(t.Context())
	if err != nil || !health.Initialized || health.Sealed || health.Standby || health.Version == "" {
		t.Errorf("health = %+v, %v", health, err)
	}
	// The clock is this machine's own.
	if health.Skew.Abs() > 10*time.Second || time.Since(health.ServerTime).Abs() > time.Minute {
		t.Errorf("server time %s, skew %s, want about now and none", health.ServerTime, health.Skew)
	}
}

func TestCheckOfMounts(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	for name, test := range map[string]struct {
		version int
		config  map[string]any
		says    string
		fatal   bool
	}{
		"version 1":        {1, nil, "is no KV version 2 store", true},
		"good":             {2, map[string]any{"max_versions": 20}, "", false},
		"soon deleted":     {2, map[string]any{"delete_version_after": "24h"}, "every version 24h0m0s after", true},
		"later deleted":    {2, map[string]any{"delete_version_after": "1000h"}, "delete_version_after", false},
		"never deleted":    {2, map[string]any{"delete_version_after": "-1s"}, "", false},
		"too few versions": {2, map[string]any{"max_versions": 1}, "keeps only 1 versions", false},
	} {
		t.Run(name, func(t *testing.T) {
			mount := strings.ReplaceAll(name, " ", "-")
			server.MountKV(mount, test.version)
			if test.config != nil {
				server.Write(mount+"/config", test.config)
			}
			client := mustOpen(t, vault.Settings{Address: server.Address, Mount: mount, Auth: vault.Auth{Token: "root"}})
			expectProblem(t, client.Check(t.Context()), test.says, test.fatal)
		})
	}
	t.Run("no mount", func(t *testing.T) {
		client := mustOpen(t, vault.Settings{Address: server.Address, Mount: "nowhere", Auth: vault.Auth{Token: "root"}})
		if err := vault.CheckError(client.Check(t.Context())); err == nil || !strings.Contains(err.Error(), "there is a mount nowhere/") {
			t.Errorf("check = %v, want it to doubt the mount", err)
		}
	})
}

// expectProblem wants one problem that says something, or none if that is empty.
func expectProblem(t *testing.T, problems []vault.Problem, says string, fatal bool) {
	t.Helper()
	if err := vault.CheckError(problems); (err != nil) != fatal {
		t.Errorf("error = %v, want one only if fatal", err)
	}
	if says == "" {
		if len(problems) > 0 {
			t.Errorf("problems = %+v, want none", problems)
		}
		return
	}
	if len(problems) != 1 || !strings.Contains(problems[0].What, says) || problems[0].Fatal != fatal || problems[0].Fix == "" {
		t.Errorf("problems = %+v, want one that says %q, fatal %t, with a fix", problems, says, fatal)
	}
}

// The policy in the error is one that Vault accepts and that is enough.
func TestPolicyIsAccepted(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	settings := vault.Settings{Address: server.Address}
	server.Policy("service", settings.Policy())
	settings.Auth.Token = credential.Secret(server.Token(vaulttest.TokenOptions{Policies: []string{"service"}}))
	if problems := mustOpen(t, settings).Check(t.Context()); len(problems) > 0 {
		t.Errorf("problems = %+v, want none", problems)
	}
}
