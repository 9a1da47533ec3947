package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"refresher/internal/app"
	"refresher/internal/config"
	"refresher/internal/escrow"
)

func (p *program) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the service",
		Long: `Run the service until it is told to stop. It answers /livez, /readyz and /metrics
on http.listen, and logs to standard error.

SIGTERM or Ctrl-C stops it: what was sent to a provider is answered and kept
first. A second signal ends it at once.`,
		Example: `  VAULT_ADDR=https://vault.example.com:8200 REDIS_URL=redis://redis:6379 refresher run
  refresher run --config /etc/refresher.yaml --set log.format=console`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.serve(cmd.Context(), func(ctx context.Context, a *app.App) error { return a.Run(ctx, nil) })
		},
	}
}

func (p *program) onceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "once",
		Short: "Renew what is due now, and exit",
		Long: `Look at all credentials, renew those that are due, and exit: for a cron job in
the place of the service. The exit code is 0 if nothing failed.`,
		Example: `  refresher once
  refresher once --timeout 5m --set log.level=warn`,
		Args: noArgs,
	}
	timeout := cmd.Flags().Duration("timeout", 10*time.Minute, "give up after this time")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *timeout <= 0 {
			return usage(cmd, "flag --timeout must be more than 0")
		}
		return p.serve(cmd.Context(), func(ctx context.Context, a *app.App) error { return p.once(ctx, a, *timeout) })
	}
	return cmd
}

// once counts its time from when the service is ready; starting has limits of its own.
func (p *program) once(ctx context.Context, a *app.App, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	summary, err := a.Once(ctx)
	p.say("renewed %d, unchanged %d, deferred %d, failed %d", summary.Renewed, summary.Unchanged, summary.Deferred, summary.Failed)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return withHint(fmt.Errorf("not done within %s", timeout), "the rest is due at the next run; --timeout gives it more time")
	case err != nil:
		return err
	case summary.Failed > 0:
		return withHint(fmt.Errorf("%s could not be renewed", count(summary.Failed, "credential")), "see why with: refresher credentials list")
	}
	return nil
}

// serve builds the service, has work done with it, and closes it.
func (p *program) serve(ctx context.Context, work func(context.Context, *app.App) error) error {
	c, sources, err := p.load()
	if err != nil {
		return err
	}
	if err := c.RequireVault(); err != nil {
		return err
	}
	log := p.logger(c.Log)
	for _, warning := range config.Warnings(c, sources) {
		log.Warn().Str("key", warning.Path).Msg(warning.String())
	}
	a, err := app.New(ctx, c, app.Build{Version: p.build().Version, Commit: p.build().Commit}, log)
	if err != nil {
		return p.notStarted(ctx, err, c)
	}
	return explainStart(errors.Join(work(ctx, a), a.Close()), c)
}

// notStarted says why the service does not start.
func (p *program) notStarted(ctx context.Context, err error, c config.Config) error {
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, escrow.ErrSpoolInUse):
		return withHint(err, "if the service runs here, it renews by itself and nothing more is needed")
	default:
		return explainStart(err, c)
	}
}

// logger returns the service's log as it is configured. It writes whole lines.
func (p *program) logger(c config.Log) zerolog.Logger {
	out := zerolog.SyncWriter(p.Stderr)
	if c.Format == "console" {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.RFC3339, NoColor: !p.Color}
	}
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		level = zerolog.InfoLevel // the configuration has checked it
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}
