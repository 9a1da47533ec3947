package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// login obtains a token, uses it for all requests from now on, and tells the hook.
func (c *Client) login(ctx context.Context) error {
	began := time.Now()
	secret, source, err := c.authenticate(ctx)
	if err != nil {
		c.session.failed(err, isDenied(err) && c.bringsItsToken())
		c.hooks.OnLogin(time.Time{}, err)
		return err
	}
	expires := expiry(began, secret.Auth.LeaseDuration)
	c.api.SetToken(secret.Auth.ClientToken)
	c.session.began(secret, source, expires)
	c.hooks.OnLogin(expires, nil)
	return nil
}

// bringsItsToken reports whether the token itself is what is presented at a
// login, so that a refused login means a refused token.
func (c *Client) bringsItsToken() bool {
	return c.settings.Auth.Method == MethodToken || c.settings.Auth.Method == MethodTokenFile
}

// authenticate returns a login by the configured method; source is the content
// of the token file, if that is the method.
func (c *Client) authenticate(ctx context.Context) (secret *api.Secret, source string, err error) {
	auth := c.settings.Auth
	switch auth.Method {
	case MethodAppRole:
		secret, err = c.loginAppRole(ctx, auth.AppRole)
	case MethodKubernetes:
		secret, err = c.loginKubernetes(ctx, auth.Kubernetes)
	case MethodTokenFile:
		if source, err = readText(auth.TokenFile); err == nil {
			secret, err = c.adopt(ctx, source)
		}
	default:
		var token string
		if token, err = c.findToken(); err == nil {
			secret, err = c.adopt(ctx, token)
		}
	}
	return secret, source, err
}

func (c *Client) loginAppRole(ctx context.Context, a AppRole) (*api.Secret, error) {
	secretID := a.SecretID.Reveal()
	if a.SecretIDFile != "" {
		text, err := readText(a.SecretIDFile)
		if err != nil {
			return nil, err
		}
		secretID = text
	}
	body := map[string]any{"role_id": a.RoleID}
	if secretID != "" {
		body["secret_id"] = secretID
	}
	return c.loginAt(ctx, a.Mount, body)
}

func (c *Client) loginKubernetes(ctx context.Context, k Kubernetes) (*api.Secret, error) {
	jwt, err := readText(k.JWTFile)
	if err != nil {
		return nil, err
	}
	return c.loginAt(ctx, k.Mount, map[string]any{"role": k.Role, "jwt": jwt})
}

// loginAt posts a login to an auth method.
func (c *Client) loginAt(ctx context.Context, mount string, body map[string]any) (*api.Secret, error) {
	const op = "auth.login"
	path := "auth/" + mount + "/login"
	secret, err := c.writeAs(ctx, c.as(""), op, path, body)
	if err != nil {
		return nil, err
	}
	if secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "" {
		return nil, &Error{Op: op, Path: path, Err: errors.New("the answer holds no token: is multi-factor authentication required?")}
	}
	return secret, nil
}

// adopt makes a login of a token that somebody else obtained: it asks Vault how
// long the token lives.
func (c *Client) adopt(ctx context.Context, token string) (*api.Secret, error) {
	const op, path = "auth.lookup", "auth/token/lookup-self"
	r, err := c.getAs(ctx, c.as(token), op, path, nil)
	if err != nil {
		return nil, err
	}
	ttl, ok := timeToLive(r)
	if !ok {
		return nil, &Error{Op: op, Path: path, Status: r.status, Err: errors.New("the answer does not say how long the token lives")}
	}
	renewable, _ := r.Data["renewable"].(bool)
	return &api.Secret{Auth: &api.SecretAuth{ClientToken: token, LeaseDuration: ttl, Renewable: renewable}}, nil
}

// findToken returns the token from the settings, the environment, or where
// `vault login` leaves it.
func (c *Client) findToken() (string, error) {
	if token := strings.TrimSpace(c.settings.Auth.Token.Reveal()); token != "" {
		return token, nil
	}
	if c.settings.UseTokenHelper {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("vault: no token: set VAULT_TOKEN: %w", err)
		}
		token, err := readText(filepath.Join(home, ".vault-token"))
		if !errors.Is(err, os.ErrNotExist) {
			return token, err
		}
		return "", errors.New("vault: no token: set VAULT_TOKEN or run `vault login`")
	}
	return "", errors.New("vault: no token: set VAULT_TOKEN, or another auth method")
}

// readText returns a file's content without the space around it.
func readText(name string) (string, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("vault: %w", err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", fmt.Errorf("vault: %s is empty", name)
	}
	return text, nil
}

// fileChanged reports whether the token file now holds another token than the
// one in use. A file that cannot be read is being replaced, or will be missed at
// the next login.
func (c *Client) fileChanged(source string) bool {
	if c.settings.Auth.Method != MethodTokenFile {
		return false
	}
	text, err := readText(c.settings.Auth.TokenFile)
	return err == nil && text != source
}

// tokenIsDead asks Vault about the token in use. It is dead only if Vault
// answers and refuses.
func (c *Client) tokenIsDead(ctx context.Context) bool {
	began := time.Now()
	r, err := c.get(ctx, "auth.lookup", "auth/token/lookup-self", nil)
	if isDenied(err) {
		c.session.failed(err, true)
		return true
	}
	if ttl, ok := timeToLive(r); err == nil && ok {
		c.session.extended(expiry(began, ttl))
	}
	return false
}

// timeToLive returns how many seconds a token that was looked up lives; 0 if for ever.
func timeToLive(r reply) (seconds int, ok bool) {
	seconds, ok = number(r.Data["ttl"])
	if seconds == 0 && r.Data["expire_time"] != nil {
		// Less than a second is left.
		seconds = 1
	}
	return seconds, ok && r.found
}

// isDenied reports whether Vault refused to do what was asked for lack of permission.
func isDenied(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusForbidden
}

// expiry returns when a token that was asked for at a time expires; zero if never.
func expiry(asked time.Time, seconds int) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return asked.Add(time.Duration(seconds) * time.Second)
}
