package setup

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"refresher/vault"
)

// The ways in which the service may log in, as they stand in Options.Login.
const (
	// LoginNone sets none up.
	LoginNone = "none"
	// LoginKubernetes is the pod's service account.
	LoginKubernetes = "kubernetes"
	// LoginAppRole is a role ID and a secret ID.
	LoginAppRole = "approle"
)

// Options say what to set up.
type Options struct {
	// Settings say which mount and prefix, and where the login methods are mounted.
	Settings vault.Settings
	// Name is that of the service's policy and role, and what the other policies'
	// names begin with; "refresher" by default.
	Name string
	// Login is one of the Login constants; LoginNone by default.
	Login      string
	Kubernetes Kubernetes
	// SecretIDFile is where a secret ID for an AppRole login goes; empty for none.
	// A file that is there is left alone.
	SecretIDFile string
	// Period is how long a login lives unless it is renewed; an hour by default.
	Period time.Duration
	// ChangeShared also changes what others may rely on.
	ChangeShared bool
	// EscrowKey is stored if there is no key yet.
	EscrowKey vault.EscrowKey
}

// Kubernetes says which cluster's service accounts may log in.
type Kubernetes struct {
	// Host is the cluster's API as Vault reaches it; https://kubernetes.default.svc by default.
	Host string
	// CAFile holds the CA of Host in PEM; empty for the one in Vault's own pod.
	CAFile string
	// ReviewerTokenFile holds the token with which Vault has logins reviewed; empty
	// for that of Vault's own pod.
	ReviewerTokenFile string
	// ServiceAccounts and Namespaces bind the role; both "refresher" by default.
	ServiceAccounts []string
	Namespaces      []string
	// Audience is the one that the service's token must have; "vault" by default.
	Audience string
}

var plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

func (o Options) withDefaults() Options {
	o.Name = cmp.Or(o.Name, vault.PolicyService)
	o.Login = cmp.Or(o.Login, LoginNone)
	o.Period = cmp.Or(o.Period, time.Hour)
	k := &o.Kubernetes
	k.Host = cmp.Or(k.Host, "https://kubernetes.default.svc")
	k.Audience = cmp.Or(k.Audience, "vault")
	if len(k.ServiceAccounts) == 0 {
		k.ServiceAccounts = []string{"refresher"}
	}
	if len(k.Namespaces) == 0 {
		k.Namespaces = []string{"refresher"}
	}
	// In the order in which Vault is asked for them, by hand too.
	k.ServiceAccounts, k.Namespaces = slices.Sorted(slices.Values(k.ServiceAccounts)), slices.Sorted(slices.Values(k.Namespaces))
	return o
}

func (o Options) validate() error {
	switch {
	case !plainName.MatchString(o.Name):
		return fmt.Errorf("name %q is not valid: use 1 to 63 of a-z, 0-9, '-' and '_'", o.Name)
	case o.Login != LoginNone && o.Login != LoginKubernetes && o.Login != LoginAppRole:
		return fmt.Errorf("login %q is not known: use %s, %s or %s", o.Login, LoginKubernetes, LoginAppRole, LoginNone)
	case o.Period < time.Minute || o.Period%time.Second != 0:
		return errors.New("the period of a login must be a minute or more, in whole seconds")
	case o.SecretIDFile != "" && o.Login != LoginAppRole:
		return errors.New("a secret ID is for an AppRole login alone")
	case o.Login == LoginKubernetes:
		return o.Kubernetes.validate()
	default:
		return nil
	}
}

func (k Kubernetes) validate() error {
	if !strings.HasPrefix(k.Host, "https://") && !strings.HasPrefix(k.Host, "http://") {
		return fmt.Errorf("the address of the cluster's API, %q, must begin with https://", k.Host)
	}
	for _, name := range slices.Concat(k.ServiceAccounts, k.Namespaces) {
		// Vault takes "*" for all of them: anybody in the cluster could log in.
		if strings.ContainsAny(name, "*,") || name == "" {
			return fmt.Errorf("service account or namespace %q is not valid: name each", name)
		}
	}
	return nil
}

// fileText returns a file's content as Vault keeps it; empty for no file.
func fileText(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read what Vault shall be given: %w", err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", fmt.Errorf("%s is empty", name)
	}
	return text, nil
}
