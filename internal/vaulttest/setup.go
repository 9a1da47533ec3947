package vaulttest

import (
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"
)

// pollInterval is how often a server that gets ready is asked again.
const pollInterval = 10 * time.Millisecond

// Seal seals the server: it answers everything with 503.
func (s *Server) Seal() {
	s.tb.Helper()
	if err := s.client.Sys().SealWithContext(s.tb.Context()); err != nil {
		s.tb.Fatalf("vaulttest: seal: %v", err)
	}
}

// Unseal unseals the server and waits until its store takes requests.
func (s *Server) Unseal() {
	s.tb.Helper()
	if _, err := s.client.Sys().UnsealWithContext(s.tb.Context(), s.UnsealKey); err != nil {
		s.tb.Fatalf("vaulttest: unseal: %v", err)
	}
	s.awaitKV("secret")
}

// Write writes to an API path as root and returns the answer.
func (s *Server) Write(path string, data map[string]any) *api.Secret {
	s.tb.Helper()
	secret, err := s.client.Logical().WriteWithContext(s.tb.Context(), path, data)
	if err != nil {
		s.tb.Fatalf("vaulttest: write %s: %v", path, err)
	}
	return secret
}

// Delete deletes an API path as root.
func (s *Server) Delete(path string) {
	s.tb.Helper()
	if _, err := s.client.Logical().DeleteWithContext(s.tb.Context(), path); err != nil {
		s.tb.Fatalf("vaulttest: delete %s: %v", path, err)
	}
}

// MountKV mounts another KV store of version 1 or 2 and waits until it takes requests.
func (s *Server) MountKV(path string, version int) {
	s.tb.Helper()
	s.Write("sys/mounts/"+path, map[string]any{"type": "kv", "options": map[string]any{"version": fmt.Sprint(version)}})
	if version == 2 {
		s.awaitKV(path)
	}
}

// awaitKV waits while a KV version 2 store gets ready: it answers 400 meanwhile.
func (s *Server) awaitKV(mount string) {
	s.tb.Helper()
	limit := time.After(requestLimit)
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		_, err := s.client.Logical().ReadWithContext(s.tb.Context(), mount+"/config")
		if err == nil {
			return
		}
		select {
		case <-poll.C:
		case <-limit:
			s.tb.Fatalf("vaulttest: the store at %s/ does not get ready: %v", mount, err)
		}
	}
}

// Policy stores a policy under a name.
func (s *Server) Policy(name, rules string) {
	s.tb.Helper()
	if err := s.client.Sys().PutPolicyWithContext(s.tb.Context(), name, rules); err != nil {
		s.tb.Fatalf("vaulttest: policy %s: %v", name, err)
	}
}

// TokenOptions describe a token to be made.
type TokenOptions struct {
	// Policies are names of policies; the default policy comes with them.
	Policies []string
	// TTL is how long the token lives unless it is renewed; MaxTTL is how long it
	// can live at all. Zero leaves it to Vault.
	TTL    time.Duration
	MaxTTL time.Duration
	// Periodic makes TTL the period of a token that can be renewed for ever.
	Periodic bool
}

// Token makes a token and returns it.
func (s *Server) Token(o TokenOptions) string {
	s.tb.Helper()
	request := &api.TokenCreateRequest{Policies: o.Policies}
	switch {
	case o.Periodic:
		request.Period = o.TTL.String()
	case o.TTL > 0:
		request.TTL = o.TTL.String()
	}
	if o.MaxTTL > 0 {
		request.ExplicitMaxTTL = o.MaxTTL.String()
	}
	secret, err := s.client.Auth().Token().CreateWithContext(s.tb.Context(), request)
	if err != nil {
		s.tb.Fatalf("vaulttest: create a token: %v", err)
	}
	return secret.Auth.ClientToken
}

// Revoke ends a token at once.
func (s *Server) Revoke(token string) {
	s.tb.Helper()
	s.Write("auth/token/revoke", map[string]any{"token": token})
}

// EnableAuth mounts an auth method ("approle", "kubernetes", "jwt") at auth/<path>.
func (s *Server) EnableAuth(path, method string) {
	s.tb.Helper()
	err := s.client.Sys().EnableAuthWithOptionsWithContext(s.tb.Context(), path, &api.EnableAuthOptions{Type: method})
	if err != nil {
		s.tb.Fatalf("vaulttest: enable %s: %v", method, err)
	}
}

// AppRole makes a role at auth/approle, which EnableAuth has mounted, and returns
// what is needed to log in. Its tokens live as the options say.
func (s *Server) AppRole(name string, o TokenOptions) (roleID, secretID string) {
	s.tb.Helper()
	role := map[string]any{"token_policies": o.Policies}
	switch {
	case o.Periodic:
		role["token_period"] = o.TTL.String()
	case o.TTL > 0:
		role["token_ttl"] = o.TTL.String()
	}
	if o.MaxTTL > 0 {
		role["token_explicit_max_ttl"] = o.MaxTTL.String()
	}
	path := "auth/approle/role/" + name
	s.Write(path, role)
	secret, err := s.client.Logical().ReadWithContext(s.tb.Context(), path+"/role-id")
	if err != nil {
		s.tb.Fatalf("vaulttest: read %s/role-id: %v", path, err)
	}
	roleID, _ = secret.Data["role_id"].(string)
	secretID, _ = s.Write(path+"/secret-id", nil).Data["secret_id"].(string)
	return roleID, secretID
}
