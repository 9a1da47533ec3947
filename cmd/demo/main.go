package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() { os.Exit(start()) }

func start() int {
	forgetEnvironment()
	// A reader of the output that goes away, such as head, ends the demo like
	// Ctrl-C, so that it cleans up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// Whoever presses Ctrl-C again does not want to wait. Some wrappers send a
	// signal twice at once; that is one.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(secondCtrlC, stop) })()
	return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// secondCtrlC is how long after the first Ctrl-C another one kills the process.
const secondCtrlC = time.Second

// forgetEnvironment keeps the settings of a real service on this machine out of
// the demo: it must not talk to anybody's Vault or Redis.
func forgetEnvironment() {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "VAULT_") || strings.HasPrefix(name, "REFRESHER_") || name == "REDIS_URL" {
			_ = os.Unsetenv(name)
		}
	}
}

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // something did not work, or was not kept alive
	exitUsage = 2
)

// run is the program: it returns when ctx ends or everything is done.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	o, err := parseOptions(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		_, _ = fmt.Fprintf(errOut, "demo: %v\n\nRun it with -help to see what it can do.\n", err)
		return exitUsage
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	guarded := &lastingWriter{out: out, gone: cancel}
	if o.simulators {
		err = serveSimulators(ctx, o, guarded, errOut)
	} else {
		err = demo(ctx, o, guarded, errOut)
	}
	if err == nil || errors.Is(err, errNotAlive) {
		if lost := guarded.lost(); lost != nil {
			err = fmt.Errorf("write the output: %w", lost)
		}
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNotAlive): // the summary has said it
		return exitError
	default:
		_, _ = fmt.Fprintf(errOut, "demo: %v\n", err)
		return exitError
	}
}

// lastingWriter ends the program in good order when its output cannot be written
// any more. It may be used from several goroutines.
type lastingWriter struct {
	out  io.Writer
	gone func()

	mu  sync.Mutex
	err error
}

// Write implements io.Writer.
func (w *lastingWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.out.Write(p)
	if err != nil {
		w.err = err
		w.gone()
	}
	return n, err
}

// lost returns why the output could not be written. That its reader has seen
// enough is no failure.
func (w *lastingWriter) lost() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.err, syscall.EPIPE) {
		return nil
	}
	return w.err
}
