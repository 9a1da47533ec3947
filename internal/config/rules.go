package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// rule is something that must hold between several keys.
type rule struct {
	// paths are the keys it looks at.
	paths []string
	// broken returns what is wrong and what to do, or nothing.
	broken func(v view) string
	// shared says that no key is more to blame than another: the problem is
	// reported at the first that was set, and the message names all. Otherwise
	// it is the first key's.
	shared bool
}

// view is a configuration of which values can be had by path.
type view struct {
	*Config
	schema *schema
}

// duration returns the value of a key that is one.
func (v view) duration(path string) time.Duration {
	d, _ := reflect.TypeAssert[time.Duration](v.schema.byPath[path].key.value(v.Config))
	return d
}

// named returns a key with its value, for a message.
func (v view) named(path string) string {
	return fmt.Sprintf("%s (%s)", path, strings.Join(formatAll(v.schema.byPath[path].key.value(v.Config)), ", "))
}

// rules checks what single values can't show. A rule about a key whose value was
// refused is left out: what it would say could be misleading.
func (l *loader) rules() {
	v := view{&l.config, l.schema}
	for _, r := range allRules() {
		if !slices.ContainsFunc(r.paths, func(path string) bool { return l.broken[path] }) {
			l.problems = append(l.problems, r.apply(v, l.sources)...)
		}
	}
}

// apply returns the problem, if there is one, with the source that set any of the keys.
func (r rule) apply(v view, sources Sources) Problems {
	message := r.broken(v)
	if message == "" {
		return nil
	}
	p := Problem{Path: r.paths[0], Source: SourceDefault, Message: message}
	set := slices.IndexFunc(r.paths, func(path string) bool { return sources[path] != "" && sources[path] != SourceDefault })
	if set >= 0 {
		p.Source = sources[r.paths[set]]
	}
	if set >= 0 && r.shared {
		p.Path = r.paths[set]
	}
	return Problems{p}
}

func allRules() []rule {
	return slices.Concat(vaultRules(), redisRules(), protocolRules(), intervalRules(), providerRules())
}

// less is the rule that one duration is shorter than another.
func less(shorter, longer, why string) rule {
	return rule{paths: []string{shorter, longer}, shared: true, broken: func(v view) string {
		if v.duration(shorter) < v.duration(longer) {
			return ""
		}
		return fmt.Sprintf("%s must be less than %s: %s", v.named(shorter), v.named(longer), why)
	}}
}

// atMost is the rule that one duration is not longer than another.
func atMost(shorter, longer, why string) rule {
	return rule{paths: []string{shorter, longer}, shared: true, broken: func(v view) string {
		if v.duration(shorter) <= v.duration(longer) {
			return ""
		}
		return fmt.Sprintf("%s must be at most %s: %s", v.named(shorter), v.named(longer), why)
	}}
}

func vaultRules() []rule {
	needs := func(method, path string, has func(Vault) bool) rule {
		return rule{paths: []string{path, "vault.auth.method"}, broken: func(v view) string {
			if v.Vault.Auth.Method != method || has(v.Vault) {
				return ""
			}
			return fmt.Sprintf("must be set, since vault.auth.method is %s", method)
		}}
	}
	return []rule{
		needs(AuthToken, "vault.token", func(v Vault) bool { return v.Token != "" }),
		needs(AuthTokenFile, "vault.token_file", func(v Vault) bool { return v.TokenFile != "" }),
		needs(AuthAppRole, "vault.auth.approle.role_id", func(v Vault) bool { return v.Auth.AppRole.RoleID != "" }),
		needs(AuthKubernetes, "vault.auth.kubernetes.role", func(v Vault) bool { return v.Auth.Kubernetes.Role != "" }),
		{paths: []string{"vault.auth.approle.secret_id", "vault.auth.approle.secret_id_file"}, broken: func(v view) string {
			if a := v.Vault.Auth.AppRole; a.SecretID != "" && a.SecretIDFile != "" {
				return "there is vault.auth.approle.secret_id_file too: keep one of them"
			}
			return ""
		}},
	}
}

// RequireVault returns a Problems error that says what is missing before the
// service can talk to Vault at all; nil if nothing is.
func (c Config) RequireVault() error {
	var missing Problems
	if c.Vault.Address == "" {
		missing = append(missing, Problem{Path: "vault.address", Source: SourceDefault, Message: "must be set: in the file, or as VAULT_ADDR"})
	}
	if c.Vault.AuthMethod() == "" {
		missing = append(missing, Problem{Path: "vault.auth.method", Source: SourceDefault, Message: "there is no way to log in to Vault: " +
			"set vault.token (VAULT_TOKEN), vault.token_file, vault.auth.approle.role_id or vault.auth.kubernetes.role"})
	}
	if len(missing) > 0 {
		return missing
	}
	return nil
}
