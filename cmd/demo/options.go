package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// options is what the command line says.
type options struct {
	listen  string
	length  time.Duration // 0: until it is stopped
	verbose bool
	plain   bool
	latency time.Duration
	seed    uint64

	simulators bool
	factor     float64
	format     string

	pace pace
	cues cues
}

const usage = `Usage: demo [flags]

Shows Refresher at work, with nothing to install: five simulated providers, a
stand-in for Vault, and the unmodified service, which keeps the credentials of a
few invented tenants alive. What takes hours in earnest takes seconds here. One
tenant takes our access away and gives it back, one credential has a typing
error: see what help looks like, and mend it with the command that is shown
(in a small terminal, with -plain).

On a terminal it draws a table; into a pipe or file it writes a line an event.

Flags:
`

const examples = `
Examples:
  demo                             watch, and stop with Ctrl-C
  demo -for 20s                    end by itself; exit code 1 if a token was not kept alive
  demo -for 1m > demo.txt          a line an event
  demo -v                          with the service's own log between the lines
  demo -latency 300ms              with providers that take their time

  demo -simulators                 serve the simulated providers alone, at documented speed,
                                   and print credentials for them as "vault kv put" commands
  demo -simulators -factor 300     an hour passes in 12 seconds
  demo -simulators -o yaml > credentials.yaml
                                   credentials for "refresher credentials import"
`

// parseOptions reads the command line. flag.ErrHelp means that the help was
// asked for and written to out.
func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{pace: demoPace(), cues: demoCues()}
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.DurationVar(&o.length, "for", 0, "end by itself after this `time`, such as 20s, and check that all went well")
	f.BoolVar(&o.plain, "plain", false, "write lines even on a terminal")
	f.BoolVar(&o.verbose, "v", false, "write lines, and the service's log between them")
	f.StringVar(&o.listen, "listen", "127.0.0.1", "loopback `address` to serve on; ports are chosen by the system")
	f.DurationVar(&o.latency, "latency", 0, "how long each provider takes to answer, a `time` such as 200ms")
	f.Uint64Var(&o.seed, "seed", 0, "`number` that makes the simulators' chances repeatable")
	f.BoolVar(&o.simulators, "simulators", false, "serve the simulated providers alone, until stopped")
	f.Float64Var(&o.factor, "factor", 1, "with -simulators: `how many` times as fast as ours the providers' time passes")
	f.StringVar(&o.format, "o", formatVault, "with -simulators: `form` of the credentials: vault, refresher or yaml")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(out, usage)
		f.SetOutput(out)
		f.PrintDefaults()
		_, _ = io.WriteString(out, examples)
		return o, err
	}
	if err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag, and nothing else is expected", f.Arg(0))
	}
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	return o, o.check(set)
}

// check looks at the values; set has the flags that were given.
func (o *options) check(set map[string]bool) error {
	wrong, side := []string{"factor", "o"}, "-simulators; the demo has a pace of its own"
	if o.simulators {
		wrong, side = []string{"for", "plain", "v"}, "the demo, not for -simulators"
	}
	for _, name := range wrong {
		if set[name] {
			return fmt.Errorf("-%s is for %s", name, side)
		}
	}
	if o.length < 0 || set["for"] && o.length == 0 {
		return errors.New("-for must be a time above zero, such as 20s")
	}
	if o.latency < 0 || !o.simulators && o.latency > maxLatency {
		return fmt.Errorf("-latency must not be negative, and at most %s in the demo, where tokens live for seconds", maxLatency)
	}
	if err := o.checkSimulators(); err != nil {
		return err
	}
	var err error
	o.listen, err = loopback(o.listen)
	return err
}

func (o *options) checkSimulators() error {
	if inRange := o.factor >= 1 && o.factor <= maxFactor; !inRange { // NaN is in no range
		return fmt.Errorf("-factor must be from 1 to %d: the service looks once a second for what is due", maxFactor)
	}
	if !slices.Contains([]string{formatVault, formatRefresher, formatYAML}, o.format) {
		return fmt.Errorf("-o %s is none of vault, refresher, yaml", o.format)
	}
	return nil
}

const (
	// maxLatency leaves the demo's tokens time to be renewed in.
	maxLatency = time.Second
	// maxFactor leaves an hour 6 seconds.
	maxFactor = 600
)

// loopback returns the address if nobody on the network can reach it. The
// simulators hand out tokens to whoever asks, and the Vault protects nothing.
func loopback(host string) (string, error) {
	if host == "localhost" {
		return "127.0.0.1", nil
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return "", fmt.Errorf("-listen %q is not an IP address; it takes no port", host)
	}
	if !ip.IsLoopback() {
		return "", fmt.Errorf("-listen %s can be reached from the network, and what is served here protects nothing: use 127.0.0.1 or ::1", host)
	}
	return ip.String(), nil
}
