package vault

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Problem is something about Vault that a person should change.
type Problem struct {
	// What is wrong.
	What string
	// Fix is what to do about it; it may have several lines.
	Fix string
	// Fatal means that the service cannot work, or would lose grants.
	Fatal bool
	// Err is why Vault could not be asked, nil if it answered.
	Err error
}

const (
	// fewVersions is the number of kept versions below which a person who broke a
	// document may not find the good one any more: a rotation writes two.
	fewVersions = 5
	// soonDeleted is the lifetime of versions below which a grant could vanish
	// between two writes of it.
	soonDeleted = 30 * 24 * time.Hour
)

// Check asks whether this login and mount can do what the service must, and
// returns what cannot or is dangerous. It writes nothing. CheckError makes one
// error of the answer.
func (c *Client) Check(ctx context.Context) []Problem {
	kv, err := c.KVSettings(ctx)
	if err != nil {
		return []Problem{c.unreachable(err)}
	}
	if kv.Version != 2 {
		return []Problem{{
			What:  fmt.Sprintf("%s/ is no KV version 2 store (type %q, version %d)", c.settings.Mount, kv.Type, kv.Version),
			Fix:   "use another mount, or upgrade this one: vault kv enable-versioning " + c.settings.Mount,
			Fatal: true,
		}}
	}
	return append(c.checkCapabilities(ctx), c.checkMount(kv)...)
}

// checkError says all problems, and wraps why Vault could not be asked.
type checkError struct {
	text  string
	cause error
}

// Error implements error.
func (e *checkError) Error() string { return e.text }

// Unwrap returns what Reason can tell of.
func (e *checkError) Unwrap() error { return e.cause }

// CheckError returns one error that says all problems if one of them is fatal,
// else nil. If Vault could not be asked, Reason says why.
func CheckError(problems []Problem) error {
	if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Fatal }) {
		return nil
	}
	var b strings.Builder
	b.WriteString("vault is not set up for the service:")
	var cause error
	for _, p := range problems {
		cause = errors.Join(cause, p.Err)
		b.WriteString("\n- " + p.What)
		if p.Fix != "" {
			b.WriteString("\n  " + strings.ReplaceAll(p.Fix, "\n", "\n  "))
		}
	}
	return &checkError{b.String(), cause}
}

// checkCapabilities asks about every rule of the service's policy at once.
func (c *Client) checkCapabilities(ctx context.Context) []Problem {
	rules := c.settings.servicePolicy().Rules
	var samples []string
	for _, r := range rules {
		samples = append(samples, r.samples...)
	}
	granted, err := c.Capabilities(ctx, samples...)
	if err != nil {
		return []Problem{c.unreachable(err)}
	}
	var problems []Problem
	if missing, _ := missingOn(rules, granted, false); missing != "" {
		problems = append(problems, Problem{
			What:  "the login may not " + missing,
			Fix:   "run `refresher vault setup`, or give it this policy:\n" + c.settings.Policy(),
			Fatal: true,
		})
	}
	if missing, fix := missingOn(rules, granted, true); missing != "" {
		problems = append(problems, Problem{
			What: "Vault is not told to take grants with check-and-set alone: the login may not " + missing,
			Fix:  "run `refresher vault setup`, or add to its policy:\n" + fix,
		})
	}
	return problems
}

// missingOn says what is not granted of the rules that the service can do
// without (spare), or of the others, and which rules grant it.
func missingOn(rules []Rule, granted map[string][]string, spare bool) (missing, fix string) {
	var all []string
	for _, r := range rules {
		if r.spare != spare {
			continue
		}
		for _, sample := range r.samples {
			if lacks := lacking(r.Capabilities, granted[sample]); len(lacks) > 0 {
				all = append(all, fmt.Sprintf("%s on %s", strings.Join(lacks, ", "), r.Path))
				fix += r.String()
				break
			}
		}
	}
	return strings.Join(all, "; "), fix
}

func lacking(wanted, granted []string) []string {
	if slices.Contains(granted, "root") {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(w string) bool { return slices.Contains(granted, w) })
}

// checkMount looks for settings under which documents would vanish.
func (c *Client) checkMount(kv KVSettings) []Problem {
	config := c.settings.configPath()
	if !kv.ConfigKnown {
		return []Problem{{
			What: fmt.Sprintf("%s cannot be read: whether Vault deletes versions by itself is unknown", config),
			Fix:  fmt.Sprintf("path %q { capabilities = [\"read\"] }", config),
		}}
	}
	var problems []Problem
	if kv.DeleteVersionAfter > 0 {
		problems = append(problems, Problem{
			What: fmt.Sprintf("the mount deletes every version %s after it was written (delete_version_after): credentials and grants would vanish",
				kv.DeleteVersionAfter),
			Fix:   fmt.Sprintf("vault write %s delete_version_after=0s, or use another mount", config),
			Fatal: kv.DeleteVersionAfter < soonDeleted,
		})
	}
	if kv.MaxVersions < fewVersions {
		problems = append(problems, Problem{
			What: fmt.Sprintf("the mount keeps only %d versions of a document (max_versions); a rotation writes 2", kv.MaxVersions),
			Fix:  fmt.Sprintf("vault write %s max_versions=%d", config, vaultMaxVersions),
		})
	}
	return problems
}

// unreachable says that Vault could not be asked.
func (c *Client) unreachable(err error) Problem {
	p := Problem{What: err.Error(), Fatal: true, Err: err}
	switch Reason(err) {
	case "denied":
		p.Fix = fmt.Sprintf("see that there is a mount %s/ and that the login has this policy:\n%s", c.settings.Mount, c.settings.Policy())
	case "sealed":
		p.Fix = "unseal Vault: vault operator unseal"
	case "standby":
		p.Fix = "see that the address is the cluster's, which leads to the active server: " + c.address()
	case "unreachable", "timeout":
		p.Fix = "see that Vault runs and that the address is right: " + c.address()
	}
	return p
}

// address is where Vault is, without a password.
func (c *Client) address() string {
	u, err := url.Parse(c.api.Address())
	if err != nil {
		return ""
	}
	return u.Redacted()
}
