package vault

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"refresher/internal/credential"
)

// The ways to log in to Vault, as they stand in Auth.Method.
const (
	// MethodToken uses a token that somebody else obtained. It is the default.
	MethodToken = "token"
	// MethodTokenFile uses the token in a file that somebody else keeps fresh,
	// as the sink of Vault Agent does.
	MethodTokenFile = "token_file"
	// MethodAppRole logs in with a role ID and a secret ID.
	MethodAppRole = "approle"
	// MethodKubernetes logs in with the pod's service account.
	MethodKubernetes = "kubernetes"
)

// What is used where Settings say nothing.
const (
	defaultMount          = "secret"
	defaultPrefix         = "refresher"
	defaultTimeout        = 5 * time.Second
	defaultReread         = 5 * time.Second
	defaultServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/token"
)

// Settings say where Vault is, how to log in and where the documents are.
//
// Whatever concerns the connection may also come from the variables that every
// client of Vault reads (VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, VAULT_CACERT,
// VAULT_CAPATH, VAULT_TLS_SERVER_NAME, VAULT_SKIP_VERIFY, VAULT_CLIENT_CERT and so
// on); a setting that is not empty wins. VAULT_MAX_RETRIES, VAULT_CLIENT_TIMEOUT
// and VAULT_WRAP_TTL have no effect.
type Settings struct {
	// Address is Vault's URL; empty means VAULT_ADDR, and without that https://127.0.0.1:8200.
	Address   string
	Namespace string
	// CACert is a file, and CAPath a directory, of certificates in PEM that vouch for Vault.
	CACert        string
	CAPath        string
	TLSServerName string
	// Insecure accepts any certificate.
	Insecure bool
	// Mount is where the KV version 2 store is mounted; "secret" by default.
	Mount string
	// Prefix is the path of all documents below the mount; "refresher" by default.
	Prefix string
	// Timeout limits each request; 5 seconds by default.
	Timeout time.Duration
	Auth    Auth
	// UseTokenHelper also looks for a token where `vault login` leaves it, in
	// ~/.vault-token, if there is none in Auth or VAULT_TOKEN.
	UseTokenHelper bool
}

// Auth says how to log in.
type Auth struct {
	// Method is one of the Method constants; empty means MethodToken.
	Method string
	// Token is for MethodToken; empty means VAULT_TOKEN.
	Token credential.Secret
	// TokenFile is for MethodTokenFile.
	TokenFile string
	// Reread is how often the token file is looked at; 5 seconds by default.
	Reread     time.Duration
	AppRole    AppRole
	Kubernetes Kubernetes
}

// AppRole is for MethodAppRole.
type AppRole struct {
	// Mount is where the method is mounted below auth/; "approle" by default.
	Mount  string
	RoleID string
	// SecretID or a file that holds it, which is read at each login.
	SecretID     credential.Secret
	SecretIDFile string
}

// Kubernetes is for MethodKubernetes.
type Kubernetes struct {
	// Mount is where the method is mounted below auth/; "kubernetes" by default.
	Mount string
	Role  string
	// JWTFile holds the service account's token and is read at each login; by
	// default it is where Kubernetes puts it.
	JWTFile string
}

// apiPath is what may become part of an API path without being escaped.
var apiPath = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$`)

// withDefaults returns the settings with every empty one filled in.
func (s Settings) withDefaults() Settings {
	s.Mount = strings.Trim(cmp.Or(s.Mount, defaultMount), "/")
	s.Prefix = strings.Trim(cmp.Or(s.Prefix, defaultPrefix), "/")
	s.Timeout = cmp.Or(s.Timeout, defaultTimeout)
	s.Auth.Method = cmp.Or(s.Auth.Method, MethodToken)
	s.Auth.Reread = cmp.Or(s.Auth.Reread, defaultReread)
	s.Auth.AppRole.Mount = strings.Trim(cmp.Or(s.Auth.AppRole.Mount, "approle"), "/")
	s.Auth.Kubernetes.Mount = strings.Trim(cmp.Or(s.Auth.Kubernetes.Mount, "kubernetes"), "/")
	s.Auth.Kubernetes.JWTFile = cmp.Or(s.Auth.Kubernetes.JWTFile, defaultServiceAccount)
	return s
}

// Paths returns the settings with every empty one filled in, and an error if
// mount, prefix or a login method's mount is not a path. It looks at nothing else.
func (s Settings) Paths() (Settings, error) {
	s = s.withDefaults()
	return s, s.validatePaths()
}

// validate reports what is wrong with settings that have their defaults.
func (s Settings) validate() error {
	if err := s.validatePaths(); err != nil {
		return err
	}
	if s.Timeout < 0 || s.Auth.Reread < 0 {
		return fmt.Errorf("vault: timeout and auth.reread must not be negative")
	}
	return s.Auth.validate()
}

func (s Settings) validatePaths() error {
	for _, p := range []struct{ what, path string }{
		{"mount", s.Mount},
		{"prefix", s.Prefix},
		{"auth.approle.mount", s.Auth.AppRole.Mount},
		{"auth.kubernetes.mount", s.Auth.Kubernetes.Mount},
	} {
		if !apiPath.MatchString(p.path) {
			return fmt.Errorf("vault: %s %q is not a path: use letters, digits, '_', '-', '.' and '/'", p.what, p.path)
		}
	}
	return nil
}

func (a Auth) validate() error {
	switch a.Method {
	case MethodToken:
	case MethodTokenFile:
		if a.TokenFile == "" {
			return fmt.Errorf("vault: auth method %s needs the file's name", a.Method)
		}
	case MethodAppRole:
		if a.AppRole.RoleID == "" {
			return fmt.Errorf("vault: auth method %s needs a role ID", a.Method)
		}
	case MethodKubernetes:
		if a.Kubernetes.Role == "" {
			return fmt.Errorf("vault: auth method %s needs a role", a.Method)
		}
	default:
		return fmt.Errorf("vault: auth method %q is not known: use %s, %s, %s or %s",
			a.Method, MethodToken, MethodTokenFile, MethodAppRole, MethodKubernetes)
	}
	return nil
}

// newAPI makes the library's client of settings that have their defaults, and
// returns the HTTP client below it too.
func newAPI(s Settings) (*api.Client, *http.Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, nil, fmt.Errorf("vault: the environment: %w", withoutURL(config.Error))
	}
	if s.Address != "" {
		config.Address, config.AgentAddress = s.Address, ""
	}
	// An untouched TLS configuration keeps what the environment said.
	tls := &api.TLSConfig{CACert: s.CACert, CAPath: s.CAPath, TLSServerName: s.TLSServerName, Insecure: s.Insecure}
	if err := config.ConfigureTLS(tls); err != nil {
		return nil, nil, fmt.Errorf("vault: TLS: %w", err)
	}
	config.Timeout = s.Timeout
	config.MaxRetries = 0
	config.CheckRetry = neverRetry
	client, err := api.NewClient(config)
	if err != nil {
		return nil, nil, fmt.Errorf("vault: address: %w", withoutURL(err))
	}
	// VAULT_WRAP_TTL would have every answer wrapped in another token.
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	if s.Namespace != "" {
		client.SetNamespace(s.Namespace)
	}
	return client, config.HttpClient, nil
}

// neverRetry is what keeps a write from being sent twice, whatever the
// environment says about the number of retries.
func neverRetry(context.Context, *http.Response, error) (bool, error) { return false, nil }
