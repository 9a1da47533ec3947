package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/armon/go-metrics"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/helper/metricsutil"
	"github.com/hashicorp/vault/helper/namespace"
	vhttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/vault"
)

// kvPollInterval is how often a KV mount that is still converting its data is asked again.
const kvPollInterval = 10 * time.Millisecond

// config is what the command line says; startServer checks it. logOutput takes Vault's log.
type config struct {
	listen    string
	rootToken string
	storage   string
	logLevel  string
	logOutput io.Writer
}

// server is one running Vault. It is made by startServer and ended by one call of stop.
type server struct {
	unsealKey string     // base64, as /v1/sys/unseal takes it
	rootToken string     // the ID from config
	address   string     // http://HOST:PORT
	failed    chan error // gets one error when the HTTP server ends on its own

	core  *vault.Core
	store *store
	http  *http.Server
	admin string // the root token that initialisation made; does the setup at each start
}

// startServer returns a Vault that is unsealed, has the root token and KV version 2 at secret/, and answers HTTP. It
// blocks until then or until ctx ends; ctx bounds the start only. Each step looks at what storage holds already, so the
// next start completes one that was killed half-way.
func startServer(ctx context.Context, cfg config) (_ *server, err error) {
	listener, err := listenLoopback(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &server{rootToken: cfg.rootToken, address: "http://" + listener.Addr().String(), failed: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, listener.Close(), s.stop(ctx))
		}
	}()
	level := hclog.LevelFromString(cfg.logLevel)
	if level == hclog.NoLevel {
		return nil, fmt.Errorf("unknown log level %q: use trace, debug, info, warn, error or off", cfg.logLevel)
	}
	logger := hclog.New(&hclog.LoggerOptions{Name: "vault", Level: level, Output: cfg.logOutput})
	if s.store, err = openStore(cfg.storage, logger.Named("storage")); err != nil {
		return nil, err
	}
	noMetrics := metrics.NewInmemSink(time.Minute, time.Minute) // nothing fills it, but /v1/sys/metrics panics without
	s.core, err = vault.NewCore(&vault.CoreConfig{
		Physical:        s.store.backend,
		StorageType:     s.store.kind,
		BuiltinRegistry: newRegistry(),
		RedirectAddr:    s.address,
		DisableMlock:    true, // needs a privilege that containers do not give
		MetricsHelper:   metricsutil.NewMetricsHelper(noMetrics, false),
		Logger:          logger,
		LogLevel:        cfg.logLevel,
	})
	if err != nil {
		return nil, fmt.Errorf("build the Vault core: %w", err)
	}
	if err := s.prepare(namespace.RootContext(ctx)); err != nil {
		return nil, err
	}
	s.serveHTTP(listener, logger.Named("http"))
	return s, nil
}

// listenLoopback takes the port before anything is written, so that a port in use costs nothing.
func listenLoopback(ctx context.Context, cfg config) (net.Listener, error) {
	host, port, err := net.SplitHostPort(cfg.listen)
	if err != nil {
		return nil, fmt.Errorf("-listen %q is not host:port, give for example 127.0.0.1:8200: %w", cfg.listen, err)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("-listen %q is not a loopback address: this server is open to all who reach it, use 127.0.0.1",
			cfg.listen)
	}
	if cfg.rootToken == "" {
		return nil, errors.New("-root-token is empty: give the ID that clients will use, for example root")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("listen on %q, choose another port or 0 for a free one: %w", cfg.listen, err)
	}
	return listener, nil
}

// prepare brings the core from whatever its storage holds to the state that startServer promises.
func (s *server) prepare(ctx context.Context) error {
	known, err := s.initialise(ctx)
	if err != nil {
		return err
	}
	s.unsealKey, s.admin = known.UnsealKey, known.RootToken
	key, err := base64.StdEncoding.DecodeString(known.UnsealKey)
	if err != nil {
		return fmt.Errorf("decode the kept unseal key, remove the storage directory and start again: %w", err)
	}
	unsealed, err := s.core.Unseal(key)
	if err != nil {
		return fmt.Errorf("unseal with the kept key, if it is another Vault's remove the storage directory: %w", err)
	}
	if !unsealed {
		return errors.New("one key did not unseal: this Vault was made with more key shares, remove the storage directory")
	}
	if err := s.ensureRootToken(ctx); err != nil {
		return err
	}
	return s.ensureKV(ctx)
}

// initialise makes a new Vault with one key share and keeps its secrets, or finds those of the Vault that is there.
func (s *server) initialise(ctx context.Context) (initSecrets, error) {
	initialised, err := s.core.Initialized(ctx)
	if err != nil {
		return initSecrets{}, fmt.Errorf("see whether the storage holds a Vault: %w", err)
	}
	if initialised {
		return s.store.loadSecrets()
	}
	result, err := s.core.Initialize(ctx, &vault.InitParams{
		BarrierConfig:  &vault.SealConfig{SecretShares: 1, SecretThreshold: 1},
		RecoveryConfig: &vault.SealConfig{},
	})
	if err != nil {
		return initSecrets{}, fmt.Errorf("initialise Vault, see its log with -log-level debug: %w", err)
	}
	made := initSecrets{
		UnsealKey: base64.StdEncoding.EncodeToString(result.SecretShares[0]),
		RootToken: result.RootToken,
	}
	return made, s.store.saveSecrets(made)
}

// ensureRootToken makes the token with the ID that clients use, unless an earlier start did.
func (s *server) ensureRootToken(ctx context.Context) error {
	entry, err := s.core.LookupToken(ctx, s.rootToken)
	if err != nil {
		return fmt.Errorf("look up the root token: %w", err)
	}
	if entry != nil {
		return nil
	}
	_, err = s.request(ctx, logical.UpdateOperation, "auth/token/create", map[string]any{
		"id": s.rootToken, "policies": []string{"root"}, "no_parent": true, "no_default_policy": true,
	})
	if err != nil {
		return fmt.Errorf("create the root token, choose another -root-token if its ID is refused: %w", err)
	}
	return nil
}

// ensureKV mounts KV version 2 at secret/ unless something is mounted there, and waits until it takes requests: until
// the mount has converted its data to version 2 it answers everything with status 400.
func (s *server) ensureKV(ctx context.Context) error {
	mounts, err := s.request(ctx, logical.ReadOperation, "sys/mounts", nil)
	if err != nil {
		return fmt.Errorf("list the mounts: %w", err)
	}
	if _, mounted := mounts.Data["secret/"]; !mounted {
		_, err := s.request(ctx, logical.UpdateOperation, "sys/mounts/secret", map[string]any{
			"type": "kv", "options": map[string]any{"version": "2"},
		})
		if err != nil {
			return fmt.Errorf("mount KV version 2 at secret/: %w", err)
		}
	}
	poll := time.NewTicker(kvPollInterval)
	defer poll.Stop()
	for {
		_, err := s.request(ctx, logical.ListOperation, "secret/metadata/", nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the mount at secret/ does not get ready, see Vault's log with -log-level debug: %w", err)
		case <-poll.C:
		}
	}
}

// request sends one request into the core as the initial root token, past HTTP. An error response is an error.
func (s *server) request(
	ctx context.Context, op logical.Operation, path string, data map[string]any,
) (*logical.Response, error) {
	resp, err := s.core.HandleRequest(ctx, &logical.Request{
		Operation: op, Path: path, ClientToken: s.admin, Data: data,
	})
	if resp.IsError() {
		return nil, errors.Join(resp.Error(), err)
	}
	return resp, err
}

// serveHTTP starts to answer. Connections that came since the listener was opened have waited for this.
func (s *server) serveHTTP(listener net.Listener, logger hclog.Logger) {
	s.http = &http.Server{
		Handler: vhttp.Handler.Handler(&vault.HandlerProperties{
			Core:           s.core,
			ListenerConfig: &configutil.Listener{Address: strings.TrimPrefix(s.address, "http://")},
		}),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Error}),
	}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("the HTTP server ended on its own: %w", err)
		}
	}()
}

// stop lets running requests finish until ctx ends, cuts those that have not, seals Vault and lets go of the storage.
// It works on a server that is half started too.
func (s *server) stop(ctx context.Context) error {
	var errs []error
	if s.http != nil && s.http.Shutdown(ctx) != nil {
		errs = append(errs, s.http.Close())
	}
	if s.core != nil {
		if err := s.core.Shutdown(); err != nil {
			errs = append(errs, fmt.Errorf("seal Vault: %w", err))
		}
	}
	if s.store != nil {
		errs = append(errs, s.store.close())
	}
	return errors.Join(errs...)
}
