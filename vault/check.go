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

// CheckError returns one error that says all problems if one of them is fatal,
// else nil.
func CheckError(problems []Problem) error {
	if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Fatal }) {
		return nil
	}
	var b strings.Builder
	b.WriteString("vault is not set up for the service:")
	for _, p := range problems {
		b.WriteString("\n- " + p.What)
		if p.Fix != "" {
			b.WriteString("\n  " + strings.ReplaceAll(p.Fix, "\n", "\n  "))
		}
	}
	return errors.New(b.String())
}

// Policy returns the policy that the service needs.
func (s Settings) Policy() string {
	s = s.withDefaults()
	var b strings.Builder
	for _, p := range s.permissions() {
		quoted := `"` + strings.Join(p.capabilities, `", "`) + `"`
		fmt.Fprintf(&b, "path %q { capabilities = [%s] }\n", p.rule, quoted)
	}
	return b.String()
}

// permission is one line of the policy.
type permission struct {
	rule         string
	capabilities []string
	// samples are paths that the rule covers, to ask about; none if the service
	// can do without the permission.
	samples []string
}

func (s Settings) permissions() []permission {
	data := s.Mount + "/data/" + s.Prefix + "/"
	list := s.Mount + "/metadata/" + s.Prefix + "/"
	readWrite := []string{"create", "read", "update"}
	return []permission{
		{data + "credentials/*", []string{"read"}, []string{data + "credentials/tenant/name"}},
		{list + "credentials/*", []string{"list", "read"}, []string{list + "credentials/", list + "credentials/tenant/"}},
		{data + "grants/*", readWrite, []string{data + "grants/tenant/name"}},
		{data + "tokens/*", readWrite, []string{data + "tokens/tenant/name"}},
		{data + "escrow-keys/*", []string{"create", "read"}, []string{data + "escrow-keys/id"}},
		{list + "escrow-keys/*", []string{"list"}, []string{list + "escrow-keys/"}},
		{s.Mount + "/config", []string{"read"}, nil},
	}
}

// checkCapabilities asks about every permission at once.
func (c *Client) checkCapabilities(ctx context.Context) []Problem {
	var samples []string
	for _, p := range c.settings.permissions() {
		samples = append(samples, p.samples...)
	}
	granted, err := c.Capabilities(ctx, samples...)
	if err != nil {
		return []Problem{c.unreachable(err)}
	}
	var missing []string
	for _, p := range c.settings.permissions() {
		for _, sample := range p.samples {
			if lacks := lacking(p.capabilities, granted[sample]); len(lacks) > 0 {
				missing = append(missing, fmt.Sprintf("%s on %s", strings.Join(lacks, ", "), p.rule))
				break
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return []Problem{{
		What:  "the login may not " + strings.Join(missing, "; "),
		Fix:   "give it this policy:\n" + c.settings.Policy(),
		Fatal: true,
	}}
}

func lacking(wanted, granted []string) []string {
	if slices.Contains(granted, "root") {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(w string) bool { return slices.Contains(granted, w) })
}

// checkMount looks for settings under which documents would vanish.
func (c *Client) checkMount(kv KVSettings) []Problem {
	config := c.settings.Mount + "/config"
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
	p := Problem{What: err.Error(), Fatal: true}
	switch Reason(err) {
	case "denied":
		p.Fix = fmt.Sprintf("see that there is a mount %s/ and that the login has this policy:\n%s", c.settings.Mount, c.settings.Policy())
	case "sealed":
		p.Fix = "unseal Vault: vault operator unseal"
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
