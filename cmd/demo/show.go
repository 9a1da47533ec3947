package main

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// show presents what happens: as a table on a terminal, as lines elsewhere.
type show interface {
	// event is told each event, one at a time.
	event(event)
	// run presents the board until ctx ends.
	run(ctx context.Context, b *board)
	// end is called once, after run.
	end(v view)
}

// newShow picks the table for a terminal that can hold it.
func newShow(o options, out io.Writer, g guide) show {
	if !o.plain && !o.verbose {
		if t, ok := openTerminal(out); ok {
			return &tableShow{terminal: t, guide: g}
		}
	}
	g.intro(out)
	return &lineShow{out: out}
}

// guide is what a newcomer can do beside watching.
type guide struct {
	status string // address of the service's own server
	vault  string
	read   []string
	repair []string
	log    string // the file with the service's log
	length string // how long the demo lasts, if it ends by itself
}

// guide says where everything is.
func (w *world) guide() guide {
	curl := "curl -s -H 'X-Vault-Token: " + vaultToken + "'"
	g := guide{
		status: "http://" + w.status + "/readyz",
		vault:  "VAULT_ADDR=" + w.door.address + " VAULT_TOKEN=" + vaultToken,
		read:   []string{curl, w.door.tokenURL(w.fleet[0].id)},
		repair: []string{curl, "-d @" + w.repairPath(), w.door.credentialURL(playing(w.fleet, mistyped).id)},
	}
	if w.logFile != nil {
		g.log = w.logPath()
	}
	if w.options.length > 0 {
		g.length = fmt.Sprintf(" of %s", w.options.length)
	}
	return g
}

// lineShow writes a line an event.
type lineShow struct{ out io.Writer }

// event implements show.
func (l *lineShow) event(e event) { _, _ = io.WriteString(l.out, plainLine(e)+"\n") }

// plainLine is one event as a line.
func plainLine(e event) string {
	if e.id == "" {
		return fmt.Sprintf("%7s  * %s", since(e.at), e.text)
	}
	return fmt.Sprintf("%7s  %-20s %-14s %s", since(e.at), e.id, e.verb, e.text)
}

// run implements show: the lines come by themselves.
func (l *lineShow) run(ctx context.Context, _ *board) { <-ctx.Done() }

// end implements show.
func (l *lineShow) end(view) {}

// intro is what a reader of lines should know.
func (g guide) intro(w io.Writer) {
	_, _ = fmt.Fprintf(w, `Refresher keeps the credentials of invented tenants alive at five simulated
providers. An hour passes in about ten seconds.

  Read a token   %s
  Repair one     %s
  Status         curl -s %s
  Look around    export %s
`, strings.Join(g.read, " "), strings.Join(g.repair, " "), g.status, g.vault)
	if g.log != "" {
		_, _ = fmt.Fprintf(w, "  Service's log  tail -f %s\n", g.log)
	}
	_, _ = fmt.Fprintf(w, "  Stop           Ctrl-C\n\n")
}
