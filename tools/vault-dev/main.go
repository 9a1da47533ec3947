// Command vault-dev runs a real Vault server for tests on this machine: Vault's own core and HTTP API with the secrets
// engines kv and transit and the auth methods token, approle, kubernetes and jwt. It listens on loopback only, holds
// its unseal key in the open and speaks plain HTTP, so it is never a server for secrets that matter.
//
//	vault-dev [-listen 127.0.0.1:8200] [-root-token root] [-storage DIR] [-log-level warn]
//
// Once Vault is initialised, unsealed and has KV version 2 mounted at secret/, it prints these lines, in this order:
//
//	unseal key: KEY                     (base64, as /v1/sys/unseal takes it)
//	root token: TOKEN
//	address: http://127.0.0.1:PORT
//	ready
//
// Vault's log goes to standard error. SIGTERM and SIGINT stop it with exit status 0. With -storage it survives even
// kill -9: a later start with the same DIR unseals and serves what was written before. Without, all is in memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Limits on the two phases that must come to an end whatever Vault does.
const (
	startLimit = 60 * time.Second
	stopLimit  = 10 * time.Second
)

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, restore) // a second signal ends a stop that hangs
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole command less the process around it: it serves until ctx ends and returns the exit status, which is 0
// after an orderly stop, 2 for a command line that cannot be read and 1 for everything else that went wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "vault-dev:", err)
		return 2
	}
	if err := serve(ctx, cfg, stdout); err != nil {
		_, _ = fmt.Fprintln(stderr, "vault-dev:", err)
		return 1
	}
	return 0
}

// parseFlags reads the command line into a config whose values startServer still checks.
func parseFlags(args []string, stderr io.Writer) (config, error) {
	cfg := config{logOutput: stderr}
	flags := flag.NewFlagSet("vault-dev", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.listen, "listen", "127.0.0.1:8200", "loopback `host:port` to serve on; port 0 picks a free one")
	flags.StringVar(&cfg.rootToken, "root-token", "root", "the `ID` of the root token that clients use")
	flags.StringVar(&cfg.storage, "storage", "", "`directory` to keep the data in; without it they are in memory")
	flags.StringVar(&cfg.logLevel, "log-level", "warn", "`level` of Vault's log: trace, debug, info, warn, error or off")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	if flags.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q: everything is said with flags, see -help", flags.Arg(0))
	}
	return cfg, nil
}

// serve starts a server, announces it on stdout and stops it when ctx ends.
func serve(ctx context.Context, cfg config, stdout io.Writer) error {
	startCtx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	s, err := startServer(startCtx, cfg)
	if err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop before it was ready: an orderly stop as well
		}
		return err
	}
	_, err = fmt.Fprintf(stdout, "unseal key: %s\nroot token: %s\naddress: %s\nready\n", s.unsealKey, s.rootToken, s.address)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-s.failed:
		}
	}
	stopCtx, cancelStop := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancelStop()
	return errors.Join(err, s.stop(stopCtx))
}
