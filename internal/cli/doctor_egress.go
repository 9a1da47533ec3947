package cli

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"refresher/internal/app"
	"refresher/internal/credential"
	"refresher/internal/egress"
	"refresher/refreshers"
)

// egressPatience is how long one provider may take to be reached.
const egressPatience = 10 * time.Second

// destination is a provider's address that the doctor connects to.
type destination struct {
	provider, url string
	hosts         []string
}

// examineEgress asks each provider's host for its front page, without any
// credential: that takes the name, the connection and TLS, through the proxy if
// there is one, by the way that the service goes.
func (d *doctor) examineEgress(ctx context.Context) {
	if d.offline {
		return
	}
	client, err := app.Egress(d.config)
	if err != nil {
		d.fail("egress", "see egress in the configuration", "%s", err)
		return
	}
	defer client.Close()
	methods := app.Methods(d.config.Providers)
	all := destinations(methods, d.urls)
	results := make([]finding, len(all))
	inParallel(ctx, len(all), len(all), func(i int) { results[i] = d.reach(ctx, client, all[i]) })
	for _, f := range results {
		d.note(f.Level, f.Check, f.Fix, "%s", f.Detail)
	}
	for _, provider := range methods.Providers() {
		if !slices.ContainsFunc(all, func(t destination) bool { return t.provider == provider }) {
			d.ok("egress", "%s: each company has a host of its own; try one with --url", provider)
		}
	}
}

// destinations returns each provider's own address, and the ones asked for.
func destinations(methods *refreshers.Registry, urls []string) []destination {
	var all []destination
	for _, m := range methods.Methods() {
		if m.DefaultBaseURL == nil {
			continue
		}
		to := destination{m.Provider, m.DefaultBaseURL(credential.Credential{Provider: m.Provider, Auth: m.Auth}), m.Hosts}
		if !slices.ContainsFunc(all, func(t destination) bool { return t.url == to.url }) {
			all = append(all, to)
		}
	}
	for _, u := range urls {
		all = append(all, destination{url: u, hosts: allHosts(methods)})
	}
	return all
}

func allHosts(methods *refreshers.Registry) []string {
	var hosts []string
	for _, m := range methods.Methods() {
		hosts = append(hosts, m.Hosts...)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func (d *doctor) reach(ctx context.Context, client *egress.Client, to destination) finding {
	f := finding{Level: levelOK, Check: "egress"}
	if err := client.Guard(to.url, to.hosts); err != nil {
		f.Level, f.Detail = levelFail, "--url: "+err.Error()
		f.Fix = "give a base_url such as https://acme.checkfront.com; REFRESHER_EGRESS_ALLOW lets others through"
		return f
	}
	u, err := url.Parse(to.url)
	if err != nil { // Guard has parsed it
		f.Level, f.Detail = levelFail, "the URL cannot be read"
		return f
	}
	name := u.Host
	if to.provider != "" {
		name = to.provider + " at " + u.Host
	}
	ctx, cancel := context.WithTimeout(ctx, egressPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.Scheme+"://"+u.Host+"/", http.NoBody)
	if err == nil {
		_, err = client.Do(ctx, req)
	}
	switch {
	case err == nil:
		f.Detail = name + " answers"
	case credential.CodeOf(err) != credential.CodeNotConnected:
		f.Level, f.Detail = levelWarn, name+" can be connected to, and does not answer: "+err.Error()
	default:
		f.Level, f.Detail, f.Fix = levelFail, name+" cannot be reached: "+reasonOf(err), d.egressFix(err)
	}
	return f
}

// reasonOf is the cause of an error of egress, without its code.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*credential.Error](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// egressFix says what to do, by the word with which the cause begins.
func (d *doctor) egressFix(err error) string {
	stage, _, _ := strings.Cut(reasonOf(err), ":")
	proxied := d.config.Egress.Proxy != ""
	switch stage {
	case "dns":
		return "see that this machine's resolver knows the name; behind a proxy, set REFRESHER_EGRESS_PROXY"
	case "tls":
		return "if a proxy opens TLS on the way, set egress.ca_cert to its CA"
	case "guard":
		return "if that is meant, put the host or its address into REFRESHER_EGRESS_ALLOW"
	case "proxy":
		return "see that the proxy runs and lets this host through (egress.proxy)"
	}
	if proxied {
		return "see that the proxy runs and lets this host through (egress.proxy)"
	}
	return "let this machine connect to port 443 there, or set REFRESHER_EGRESS_PROXY"
}
