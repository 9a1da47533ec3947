package main

import (
	"context"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"refresher/internal/config"
	"refresher/internal/providersim"
)

// TestSimulatorsAlone serves them, uses one, and reads what was printed.
func TestSimulatorsAlone(t *testing.T) {
	t.Parallel()
	for _, form := range []string{formatVault, formatRefresher, formatYAML} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			o, err := parseOptions([]string{"-simulators", "-factor", "300", "-o", form}, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var out, errOut stage
			ended := make(chan error, 1)
			go func() { ended <- serveSimulators(ctx, o, &out, &errOut) }()
			errOut.see(t, "serving")
			said := out.String()
			for _, want := range []string{"harbour-tours", "provider", "client_credentials", "token_pair", "session", "jwt_bearer", `\nMII`} {
				if !strings.Contains(said, want) {
					t.Errorf("no %q in\n%s", want, said)
				}
			}
			if urls := regexp.MustCompile(`(?m)^#   \w+ +http://127\.0\.0\.1:\d+`).FindAllString(said, -1); len(urls) != 5 {
				t.Errorf("says where %d simulators are", len(urls))
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSettings loads the configuration that goes with each speed: it must be one
// that the service accepts.
func TestSettings(t *testing.T) {
	t.Parallel()
	for _, factor := range []float64{1, 2, 60, 99, 100, 300, maxFactor} {
		s := sheet{options: options{listen: "::1", factor: factor}}
		if _, _, err := config.Load(config.Options{Sets: s.settings()}); err != nil {
			t.Errorf("at %g: %v", factor, err)
		}
	}
	for name, p := range map[string]pace{"the demo": demoPace(), "documented": documentedPace()} {
		if _, _, err := config.Load(config.Options{Sets: append(p.settings(), protocolSettings()...)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestQuote has a real shell read what was quoted.
func TestQuote(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "plain-1.2/3", `a|b%2b`, "it's", `$HOME \n "x" *`, "~/x", "a b\tc"} {
		got, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quote(text)).Output()
		if err != nil || string(got) != text {
			t.Errorf("%q is read as %q: %v", text, got, err)
		}
	}
}

// TestScript has a real shell read the whole script, with a vault that takes
// down what it is given.
func TestScript(t *testing.T) {
	t.Parallel()
	providers := providersim.New(providersim.Options{})
	servers, err := providers.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	s := sheet{
		options: options{listen: "127.0.0.1", factor: 300, format: formatVault}, providers: providers, servers: servers, fleet: fleet(providers, servers),
	}
	script := `vault() { for a in "$@"; do printf '%s\n' "$a"; done; }` + "\n" + string(s.write())
	got, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.fleet {
		want := "kv\nput\nsecret/refresher/credentials/" + c.id + "\n"
		if !strings.Contains(string(got), want) {
			t.Errorf("%s is not stored", c.id)
		}
		for field, value := range c.document(c.correct()) {
			if !strings.Contains(string(got), "\n"+field+"="+value+"\n") {
				t.Errorf("%s: field %s is not stored as it is", c.id, field)
			}
		}
	}
	// A YAML file has the same, as strings in JSON's form.
	s.options.format = formatYAML
	yaml := string(s.write())
	for _, c := range s.fleet {
		for field, value := range c.document(c.correct()) {
			if !strings.Contains(yaml, "    "+field+": "+strconv.Quote(value)+"\n") {
				t.Errorf("%s: field %s is not in the YAML", c.id, field)
			}
		}
	}
}
