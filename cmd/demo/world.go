package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"refresher/internal/app"
	"refresher/internal/config"
	"refresher/internal/providersim"
	"refresher/internal/vaultsim"
)

// world is everything that runs in the demo.
type world struct {
	options   options
	dir       string // temporary, for the spool, the log and what is handed to curl
	providers *providersim.Providers
	servers   *providersim.Servers
	vault     *http.Server
	vaultDone chan error
	door      *vaultDoor
	fleet     []stored

	log     zerolog.Logger
	logFile *os.File
	service *app.App
	stop    context.CancelFunc
	// done is closed when the service's Run has returned, and ended says what.
	done   chan struct{}
	ended  error
	status string // address of the service's own HTTP server
}

// newWorld starts all parts: when it returns, the service is running. The world
// must be closed, also after an error.
func newWorld(ctx context.Context, o options, errOut io.Writer) (*world, error) {
	w := &world{options: o}
	for _, step := range []func() error{
		w.makeDir,
		func() error { return w.openLog(errOut) },
		w.startProviders,
		w.startVault,
		func() error { return w.storeCredentials(ctx) },
		func() error { return w.startService(ctx) },
	} {
		if err := step(); err != nil {
			return w, err
		}
	}
	return w, nil
}

func (w *world) makeDir() error {
	dir, err := os.MkdirTemp("", "refresher-demo-")
	if err != nil {
		return fmt.Errorf("a temporary directory is needed: %w; set TMPDIR to a place where you may write", err)
	}
	w.dir = dir
	return nil
}

// openLog sends the service's log to a file or, with -v, between the lines.
func (w *world) openLog(errOut io.Writer) error {
	var out io.Writer = zerolog.ConsoleWriter{Out: errOut, NoColor: true, TimeFormat: time.TimeOnly}
	if !w.options.verbose {
		var err error
		if w.logFile, err = os.Create(w.logPath()); err != nil {
			return fmt.Errorf("open the service's log: %w", err)
		}
		out = w.logFile
	}
	w.log = zerolog.New(zerolog.SyncWriter(out)).Level(zerolog.InfoLevel).With().Timestamp().Logger()
	return nil
}

func (w *world) logPath() string { return filepath.Join(w.dir, "service.log") }

func (w *world) startProviders() error {
	w.providers = providersim.New(w.options.pace.simulators(w.options))
	var err error
	w.servers, err = w.providers.Start(w.options.listen)
	return err
}

func (w *world) startVault() error {
	listener, err := net.Listen("tcp", net.JoinHostPort(w.options.listen, "0"))
	if err != nil {
		return fmt.Errorf("serve the stand-in for Vault: %w", err)
	}
	w.vault = &http.Server{
		Handler: vaultsim.New(vaultToken), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	w.vaultDone = make(chan error, 1)
	go func() { w.vaultDone <- w.vault.Serve(listener) }()
	w.door = &vaultDoor{address: "http://" + listener.Addr().String(), client: &http.Client{Transport: &http.Transport{}}}
	return nil
}

// storeCredentials does what an onboarding does: it stores each credential in
// the Vault. The one with the typing error is put aside without it, too.
func (w *world) storeCredentials(ctx context.Context) error {
	w.fleet = fleet(w.providers, w.servers)
	for _, s := range w.fleet {
		if err := w.door.store(ctx, s.id, s.document(s.fields)); err != nil {
			return err
		}
		if s.mended == nil {
			continue
		}
		if err := os.WriteFile(w.repairPath(), putBody(s.document(s.mended)), 0o600); err != nil {
			return fmt.Errorf("write the repaired credential: %w", err)
		}
	}
	return nil
}

func (w *world) repairPath() string { return filepath.Join(w.dir, "repair.json") }

// settings are the service's whole configuration. Without a Redis its queue is in memory.
func (w *world) settings() []string {
	sets := append(w.options.pace.settings(), protocolSettings()...)
	return append(sets,
		"vault.address="+w.door.address, "vault.token="+vaultToken,
		"http.listen="+net.JoinHostPort(w.options.listen, "0"), "http.shutdown_timeout=1s",
		"escrow.dir="+filepath.Join(w.dir, "spool"), "egress.allow="+w.options.listen,
	)
}

// startService starts the service just as its own command does.
func (w *world) startService(ctx context.Context) error {
	c, _, err := config.Load(config.Options{Sets: w.settings()})
	if err != nil {
		return fmt.Errorf("configure the service: %w", err)
	}
	if w.service, err = app.New(ctx, c, app.Build{Version: "demo"}, w.log); err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop, w.done = stop, make(chan struct{})
	ready := make(chan string, 1)
	go func() {
		defer close(w.done)
		w.ended = w.service.Run(running, func(address string) { ready <- address })
	}()
	select {
	case w.status = <-ready:
		return nil
	case <-w.done:
		return errors.New("start the service: it ended at once")
	}
}

// close stops everything, the service first, and leaves nothing behind.
func (w *world) close() error {
	var err error
	if w.stop != nil {
		w.stop()
		<-w.done
		err = w.ended
	}
	if w.service != nil {
		err = errors.Join(err, w.service.Close())
	}
	if w.vault != nil {
		w.door.client.CloseIdleConnections()
		err = errors.Join(err, w.vault.Close())
		if served := <-w.vaultDone; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	}
	if w.servers != nil {
		w.servers.Close()
	}
	if w.logFile != nil {
		err = errors.Join(err, w.logFile.Close())
	}
	if w.dir != "" {
		err = errors.Join(err, os.RemoveAll(w.dir))
	}
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
