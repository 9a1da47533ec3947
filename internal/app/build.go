package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/config"
	"refresher/internal/egress"
	"refresher/vault"
)

// VaultSettings are vault's settings from the configuration.
func VaultSettings(c config.Config) vault.Settings {
	return vault.Settings{
		Address: c.Vault.Address, Namespace: c.Vault.Namespace, CACert: c.Vault.CACert, TLSServerName: c.Vault.TLSServerName,
		Mount: c.Vault.Mount, Prefix: c.Vault.Prefix, Timeout: c.Renewal.VaultTimeout,
		Auth: vault.Auth{
			Method: c.Vault.AuthMethod(), Token: c.Vault.Token, TokenFile: c.Vault.TokenFile,
			AppRole: vault.AppRole{
				Mount: c.Vault.Auth.AppRole.Mount, RoleID: c.Vault.Auth.AppRole.RoleID,
				SecretID: c.Vault.Auth.AppRole.SecretID, SecretIDFile: c.Vault.Auth.AppRole.SecretIDFile,
			},
			Kubernetes: vault.Kubernetes{
				Mount: c.Vault.Auth.Kubernetes.Mount, Role: c.Vault.Auth.Kubernetes.Role, JWTFile: c.Vault.Auth.Kubernetes.TokenPath,
			},
		},
	}
}

// Egress returns the way out to the providers.
func Egress(c config.Config) (*egress.Client, error) {
	settings := egress.Settings{
		Allow: c.Egress.Allow, Proxy: c.Egress.Proxy, CAFile: c.Egress.CACert, CallTimeout: c.Renewal.CallTimeout,
	}
	if c.Providers.Kibo.TLSCompat {
		settings.CompatHosts = []string{kiboAPIHost}
	}
	client, err := egress.New(settings)
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	return client, nil
}

// kiboAPIHost is the host that spoke an old cipher in Kibo's document of 2016.
const kiboAPIHost = "integration.shopatron.com"

// Redis returns a client, or nil if none is configured. It connects when it is used.
func Redis(c config.Redis) (redis.UniversalClient, error) {
	if !c.Enabled() {
		return nil, nil
	}
	options := &redis.UniversalOptions{
		Addrs: c.Addresses, MasterName: c.MasterName, DB: c.DB, IsClusterMode: c.Mode == config.RedisCluster,
		Username: c.Username, Password: c.Password.Reveal(),
		SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword.Reveal(),
		PoolSize: c.PoolSize, DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout,
		// A repeated command may mean something else than the first: a lease that
		// was taken and not heard of reads as held by another.
		MaxRetries: -1, ContextTimeoutEnabled: true, DisableIdentity: true,
	}
	if c.URL != "" {
		if err := fromURL(options, c.URL.Reveal()); err != nil {
			return nil, err
		}
	}
	if c.TLS.Enabled || options.TLSConfig != nil { // or the URL is rediss://
		tlsConfig, err := redisTLS(c.TLS)
		if err != nil {
			return nil, err
		}
		options.TLSConfig = tlsConfig
	}
	return redis.NewUniversalClient(options), nil
}

// fromURL takes over what a Redis URL says; what stands in a key of its own wins.
func fromURL(options *redis.UniversalOptions, rawURL string) error {
	parsed, err := redis.ParseURL(rawURL)
	if err != nil {
		return errors.New("redis.url cannot be read") // the cause would show the password
	}
	options.Addrs, options.TLSConfig = []string{parsed.Addr}, parsed.TLSConfig
	if options.Username == "" {
		options.Username = parsed.Username
	}
	if options.Password == "" {
		options.Password = parsed.Password
	}
	if options.DB == 0 {
		options.DB = parsed.DB
	}
	return nil
}

func redisTLS(c config.RedisTLS) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CACert == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.CACert)
	if err != nil {
		return nil, fmt.Errorf("redis.tls.ca_cert: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("redis.tls.ca_cert: no certificate in %s", c.CACert)
	}
	return config, nil
}

// How long the service waits for Vault when it starts.
const (
	vaultPatience = 2 * time.Minute
	vaultAgain    = 2 * time.Second
)

// patiently repeats what Vault failed at, for as long as a Vault that is just being
// started or unsealed may take. What waiting does not mend is final at once: a refused
// login, a missing permission.
func (a *App) patiently(ctx context.Context, try func(context.Context) error) error {
	deadline := time.Now().Add(vaultPatience)
	for {
		err := try(ctx)
		if err == nil || !passing(err) || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		a.log.Warn().Err(err).Str("address", a.config.Vault.Address).Msg("Vault cannot be used yet; trying again")
		select {
		case <-ctx.Done():
		case <-time.After(vaultAgain):
		}
	}
}

// passing reports whether an error of Vault's may go away by itself.
func passing(err error) bool {
	switch vault.Reason(err) {
	case "failed", "rate_limited":
		return true
	default:
		return away(err)
	}
}

// away reports whether an error means that Vault cannot be reached or used.
func away(err error) bool {
	switch vault.Reason(err) {
	case "unreachable", "timeout", "sealed", "standby":
		return true
	default:
		return false
	}
}
