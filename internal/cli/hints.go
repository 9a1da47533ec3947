package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"refresher/internal/config"
	"refresher/vault"
)

// hinted is an error with what a person can do about it.
type hinted struct {
	err  error
	hint string
}

// Error implements error.
func (e *hinted) Error() string { return e.err.Error() }

// Unwrap returns the error itself.
func (e *hinted) Unwrap() error { return e.err }

// withHint adds what to do to an error, unless there is nothing to say.
func withHint(err error, hint string) error {
	if err == nil || hint == "" {
		return err
	}
	return &hinted{err: err, hint: hint}
}

// explain adds what to do to an error of Vault's.
func explain(err error, c config.Config) error {
	return withHint(err, vaultHint(err, c))
}

// vaultHint says what to do about an error of Vault's; empty if the error says
// all that is known.
func vaultHint(err error, c config.Config) string {
	if hint := connectionHint(err); hint != "" {
		return hint
	}
	switch vault.Reason(err) {
	case "unreachable", "timeout":
		return "does Vault run, and is its address right? It is " + c.Vault.Address + " (VAULT_ADDR)"
	case "sealed":
		return "unseal Vault: vault operator unseal"
	case "standby":
		return "it serves nobody until it is the active server: is the address that of the cluster? It is " + c.Vault.Address + " (VAULT_ADDR)"
	case "conflict":
		return "somebody else changed it just now: look at it and run the command again"
	case "denied":
		return deniedHint(err, c)
	case "refused":
		return fmt.Sprintf("is there a KV version 2 store mounted at %s/? (REFRESHER_VAULT_MOUNT)", c.Vault.Mount)
	default:
		return ""
	}
}

// connectionHint recognises the usual mistakes about TLS by their words: they
// have no types of their own.
func connectionHint(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "the server speaks plain http: begin VAULT_ADDR with http:// if that is meant"
	case strings.Contains(text, "HTTP request to an HTTPS server"):
		return "the server speaks https: begin VAULT_ADDR with https://"
	case strings.Contains(text, "x509:") || strings.Contains(text, "tls: failed to verify"):
		return "set VAULT_CACERT (vault.ca_cert) to the CA that signed Vault's certificate"
	default:
		return ""
	}
}

// deniedHint says what a refused login lacks.
func deniedHint(err error, c config.Config) string {
	e, ok := errors.AsType[*vault.Error](err)
	if !ok {
		return ""
	}
	if strings.HasPrefix(e.Op, "auth.") {
		return "the login is not valid, or no longer: set VAULT_TOKEN, or run: vault login"
	}
	_, action, _ := strings.Cut(e.Op, ".")
	capability := map[string]string{"read": "read", "list": "list", "write": "create and update", "delete": "delete"}[action]
	if capability == "" {
		return ""
	}
	return fmt.Sprintf("the token needs %s on %s", capability, rule(e.Path, c))
}

// rule returns the path of a policy that covers an API path of a document.
func rule(path string, c config.Config) string {
	for _, area := range []string{"/data/", "/metadata/"} {
		base := c.Vault.Mount + area + c.Vault.Prefix + "/"
		if rest, ok := strings.CutPrefix(path, base); ok {
			folder, _, _ := strings.Cut(rest, "/")
			return base + folder + "/*"
		}
	}
	return path
}

// explainStart adds what to do to an error of a service that does not start.
func explainStart(err error, c config.Config) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok && strings.HasPrefix(e.Path, c.Escrow.Dir) {
		return withHint(err, fmt.Sprintf("set REFRESHER_ESCROW_DIR (escrow.dir, now %s) to a directory that this user may write to, on a disk that outlives the process", c.Escrow.Dir))
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return withHint(err, fmt.Sprintf("another process listens on %s: set REFRESHER_HTTP_LISTEN (http.listen)", c.HTTP.Listen))
	}
	return withHint(err, startHint(err, c))
}

// startHint is vaultHint for the service's own login.
func startHint(err error, c config.Config) string {
	e, ok := errors.AsType[*vault.Error](err)
	if !ok || !strings.HasPrefix(e.Op, "auth.") || vault.Reason(err) != "denied" && vault.Reason(err) != "refused" {
		return vaultHint(err, c)
	}
	switch c.Vault.AuthMethod() {
	case config.AuthAppRole:
		return "see that role ID and secret ID are right, and that the role is at auth/" + c.Vault.Auth.AppRole.Mount
	case config.AuthKubernetes:
		return fmt.Sprintf("see that role %s is at auth/%s and bound to this service account", c.Vault.Auth.Kubernetes.Role, c.Vault.Auth.Kubernetes.Mount)
	case config.AuthTokenFile:
		return "the token in " + c.Vault.TokenFile + " is not valid, or no longer"
	default:
		return "the token is not valid, or no longer: give another one (VAULT_TOKEN)"
	}
}
