// Refresher keeps the API credentials of many tenants alive. See package cli for
// its commands.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"
	"golang.org/x/term"

	"refresher/internal/cli"
)

// Set by the linker: -ldflags "-X main.version=v1.2.3 -X main.commit=… -X main.date=…".
var version, commit, date string

func main() { os.Exit(run()) }

func run() int {
	// These two write what others sent, and to nobody who reads it. What matters
	// comes back as errors.
	log.SetOutput(io.Discard)
	redis.SetLogger(silence{})

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the next one ends the process at once.
	context.AfterFunc(ctx, stop)

	return cli.Main(ctx, cli.Env{
		Args:    os.Args[1:],
		Environ: os.Environ(),
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Person:  cli.Terminal(os.Stdin, os.Stderr),
		Color:   term.IsTerminal(int(os.Stderr.Fd())),
		Build:   cli.Build{Version: version, Commit: commit, Date: date},
	})
}

// silence is a logger of go-redis that says nothing.
type silence struct{}

// Printf implements go-redis's logger.
func (silence) Printf(context.Context, string, ...any) {}
