package main

import (
	"maps"
	"slices"

	jwt "github.com/hashicorp/vault-plugin-auth-jwt"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// registry names the plugins that are compiled in. Vault looks up every mount's type in it and panics without one. It
// takes the place of Vault's helper/builtinplugins, which would compile in every cloud's and database's client.
type registry map[consts.PluginType]map[string]logical.Factory

// newRegistry lists what the refresher uses or is tested against. Vault itself adds the token auth method and the
// engines system, identity and cubbyhole.
func newRegistry() registry {
	return registry{
		consts.PluginTypeSecrets: {
			"kv":      kv.Factory,
			"transit": transit.Factory,
		},
		consts.PluginTypeCredential: {
			"approle":    approle.Factory,
			"jwt":        jwt.Factory,
			"kubernetes": kubernetes.Factory,
		},
	}
}

// Contains says whether a plugin of that name and type is compiled in.
func (r registry) Contains(name string, pluginType consts.PluginType) bool {
	_, ok := r[pluginType][name]
	return ok
}

// Get returns a function that gives the plugin's logical.Factory, the form in which Vault's plugin loader wants it.
func (r registry) Get(name string, pluginType consts.PluginType) (func() (any, error), bool) {
	factory, ok := r[pluginType][name]
	return func() (any, error) { return factory, nil }, ok
}

// Keys returns the names of all plugins of one type, sorted.
func (r registry) Keys(pluginType consts.PluginType) []string {
	return slices.Sorted(maps.Keys(r[pluginType]))
}

// DeprecationStatus calls every plugin that is compiled in supported.
func (r registry) DeprecationStatus(name string, pluginType consts.PluginType) (consts.DeprecationStatus, bool) {
	if !r.Contains(name, pluginType) {
		return consts.Unknown, false
	}
	return consts.Supported, true
}

// IsBuiltinEntPlugin is always false: nothing of Vault Enterprise is in here.
func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
