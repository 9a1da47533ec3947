package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"refresher/internal/providersim"
)

// The forms in which credentials are printed.
const (
	formatVault     = "vault"
	formatRefresher = "refresher"
	formatYAML      = "yaml"
)

// serveSimulators serves the simulated providers alone until ctx ends. What it
// writes to out is a shell script or a YAML file as a whole.
func serveSimulators(ctx context.Context, o options, out, errOut io.Writer) error {
	providers := providersim.New(providersim.Options{Factor: o.factor, Latency: o.latency, Seed: o.seed})
	servers, err := providers.Start(o.listen)
	if err != nil {
		return err
	}
	defer servers.Close()
	text := sheet{options: o, providers: providers, servers: servers, fleet: fleet(providers, servers)}.write()
	if _, err := out.Write(text); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("write the credentials: %w", err)
	}
	_, _ = fmt.Fprintln(errOut, "The simulators are serving. Stop them with Ctrl-C.")
	<-ctx.Done()
	return nil
}

// sheet is what somebody needs to use the simulators.
type sheet struct {
	options   options
	providers *providersim.Providers
	servers   *providersim.Servers
	fleet     []stored
}

func (s sheet) write() []byte {
	var b bytes.Buffer
	b.WriteString("# Simulated providers, on this machine only. All secrets are made up.\n#\n")
	for _, sim := range s.providers.All() {
		fmt.Fprintf(&b, "#   %-10s  %s\n", sim.Name(), s.servers.URL(sim.Name()))
	}
	b.WriteString("#\n")
	if s.options.factor != 1 {
		fmt.Fprintf(&b, "# Their time passes %g times as fast as ours.\n", s.options.factor)
	}
	b.WriteString("# A service that is to use them needs this in its environment:\n\n")
	prefix := "export "
	if s.options.format == formatYAML {
		prefix = "#   export "
	}
	for _, set := range s.settings() {
		path, value, _ := strings.Cut(set, "=")
		fmt.Fprintf(&b, "%sREFRESHER_%s=%s\n", prefix, strings.ToUpper(strings.ReplaceAll(path, ".", "_")), quote(value))
	}
	b.WriteString("\n")
	if s.options.format == formatYAML {
		b.Write(s.yaml())
		return b.Bytes()
	}
	for i := range s.fleet {
		b.WriteString(s.command(s.fleet[i]))
	}
	return b.Bytes()
}

// quickFactor is the speed at which the service's usual time limits are longer than
// the tokens live.
const quickFactor = 100

func (s sheet) settings() []string {
	sets := []string{"egress.allow=" + s.options.listen}
	if s.options.factor != 1 {
		sets = append(sets, documentedPace().faster(s.options.factor).settings()...)
	}
	if s.options.factor >= quickFactor {
		sets = append(sets, protocolSettings()...)
	}
	return sets
}

// command is one credential as a shell command.
func (s sheet) command(c stored) string {
	start := "vault kv put secret/refresher/credentials/"
	if s.options.format == formatRefresher {
		start = "refresher credentials put "
	}
	var b strings.Builder
	b.WriteString(start + c.id)
	document := c.document(c.correct())
	for _, field := range fieldsOf(document) {
		b.WriteString(" \\\n  " + field + "=" + quote(document[field]))
	}
	return b.String() + "\n\n"
}

// quote makes a word of a text for a shell.
func quote(text string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,@"
	if text != "" && strings.Trim(text, safe) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// yaml is all credentials as an import file. A string of JSON is one of YAML, too.
func (s sheet) yaml() []byte {
	var b bytes.Buffer
	b.WriteString("credentials:\n")
	for _, c := range s.fleet {
		document := c.document(c.correct())
		tenant, name, _ := strings.Cut(c.id, "/")
		fmt.Fprintf(&b, "  - tenant: %s\n    name: %s\n", tenant, name)
		for _, field := range fieldsOf(document) {
			fmt.Fprintf(&b, "    %s: %s\n", field, strconv.Quote(document[field]))
		}
	}
	return b.Bytes()
}

// fieldsOf returns the names of a document's fields, whose it is first.
func fieldsOf(document map[string]string) []string {
	first := []string{"provider", "auth"}
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(document)), func(f string) bool { return slices.Contains(first, f) })
	return append(first, rest...)
}
