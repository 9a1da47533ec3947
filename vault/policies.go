package vault

import (
	"fmt"
	"strings"

	"refresher/internal/credential"
)

//go:generate go run ../cmd/refresher vault policy --dir ../deploy/vault

// Policy is a policy of Vault's that an operator gives to somebody.
type Policy struct {
	// Name is what it is called in deploy/vault, without .hcl.
	Name string
	// About says who gets it and why, in lines.
	About string
	Rules []Rule
}

// Rule is what a policy allows on a path.
type Rule struct {
	// Path may end with '*'.
	Path         string
	Capabilities []string
	// Only are the fields that a write may have, with the one value of each; nil
	// leaves them free.
	Only map[string]string
	// Why is there for whoever reads the policy.
	Why string

	// samples are paths that the rule covers, for Check to ask about; none if the
	// service can do without the permission.
	samples []string
	// spare means that the service works without it, and should have it.
	spare bool
}

// String returns the policy as Vault reads it, with comments that say why.
func (p Policy) String() string {
	var b strings.Builder
	comment(&b, p.Name+": "+p.About)
	for _, rule := range p.Rules {
		b.WriteByte('\n')
		comment(&b, rule.Why)
		b.WriteString(rule.String())
	}
	return b.String()
}

func comment(b *strings.Builder, text string) {
	for line := range strings.Lines(text + "\n") {
		b.WriteString(strings.TrimRight("# "+strings.TrimRight(line, "\n"), " ") + "\n")
	}
}

// String returns the rule as Vault reads it, in one line unless it has fields.
func (r Rule) String() string {
	capabilities := `capabilities = ["` + strings.Join(r.Capabilities, `", "`) + `"]`
	if len(r.Only) == 0 {
		return fmt.Sprintf("path %q { %s }\n", r.Path, capabilities)
	}
	var fields strings.Builder
	for _, name := range sortedKeys(r.Only) {
		fmt.Fprintf(&fields, "    %q = [%s]\n", name, r.Only[name])
	}
	return fmt.Sprintf("path %q {\n  %s\n  allowed_parameters = {\n%s  }\n}\n", r.Path, capabilities, &fields)
}

// Policy returns the rules that the service needs, as Vault reads them.
func (s Settings) Policy() string {
	var b strings.Builder
	for _, rule := range s.servicePolicy().Rules {
		b.WriteString(rule.String())
	}
	return b.String()
}

// Policies returns all policies of deploy/vault for this mount and prefix: the
// service's first. The readers of one tenant and of one token may read those of id.
func (s Settings) Policies(id credential.ID) []Policy {
	return []Policy{
		s.servicePolicy(), s.readerPolicy(), s.tenantReaderPolicy(id.Tenant), s.tokenReaderPolicy(id),
		s.onboardingPolicy(), s.recoveryPolicy(), s.administratorPolicy(),
	}
}

// The names of the policies that are named elsewhere.
const (
	// PolicyService is the service's.
	PolicyService = "refresher"
	// PolicyReader, PolicyOnboarding and PolicyRecovery need no tenant's name, so
	// that they can be stored before there is one.
	PolicyReader     = "reader"
	PolicyOnboarding = "onboarding"
	PolicyRecovery   = "recovery"
	// PolicyAdministrator is for whoever runs `refresher vault setup`.
	PolicyAdministrator = "administrator"
)

// at returns an API path of the store: an area such as "data", and what is below the prefix.
func (s Settings) at(area, below string) string {
	s = s.withDefaults()
	return s.Mount + "/" + area + "/" + s.Prefix + "/" + below
}

func (s Settings) configPath() string { return s.withDefaults().Mount + "/config" }

func (s Settings) servicePolicy() Policy {
	readWrite := []string{"create", "read", "update"}
	return Policy{
		Name: PolicyService,
		About: `for the service, and for nobody else.
It reads what others store and writes what it keeps itself. It can delete nothing,
so that neither a mistake nor a stolen login destroys a grant.`,
		Rules: []Rule{
			{
				Path: s.at("data", "credentials/*"), Capabilities: []string{"read"},
				Why:     "Credentials belong to people: the service never writes one.",
				samples: []string{s.at("data", "credentials/tenant/name")},
			},
			{
				Path: s.at("metadata", "credentials/*"), Capabilities: []string{"list"},
				Why:     "A scan lists tenants and names.",
				samples: []string{s.at("metadata", "credentials/"), s.at("metadata", "credentials/tenant/")},
			},
			{
				Path: s.at("data", "grants/*"), Capabilities: readWrite,
				Why:     "Grants are the service's own: the living refresh tokens.",
				samples: []string{s.at("data", "grants/tenant/name")},
			},
			{
				Path: s.at("metadata", "grants/*"), Capabilities: []string{"create", "update"},
				Only: map[string]string{"cas_required": "true"},
				Why: `Before a grant's first write the service has Vault require check-and-set for it.
Nothing else may be set there: not delete_version_after, not max_versions.`,
				samples: []string{s.at("metadata", "grants/tenant/name")}, spare: true,
			},
			{
				Path: s.at("data", "tokens/*"), Capabilities: readWrite,
				Why:     "Tokens are what readers read.",
				samples: []string{s.at("data", "tokens/tenant/name")},
			},
			{
				Path: s.at("data", "escrow-keys/*"), Capabilities: []string{"create", "read"},
				Why: `The keys that open sealed answers. The first service that finds none makes one;
none is ever overwritten.`,
				samples: []string{s.at("data", "escrow-keys/id")},
			},
			{
				Path: s.at("metadata", "escrow-keys/*"), Capabilities: []string{"list"},
				Why:     "Which keys there are.",
				samples: []string{s.at("metadata", "escrow-keys/")},
			},
			{
				Path: s.configPath(), Capabilities: []string{"read"},
				Why: "To warn if the mount deletes versions by itself.",
			},
		},
	}
}

func (s Settings) readerPolicy() Policy {
	return Policy{
		Name:  PolicyReader,
		About: "for a service that calls providers for all tenants.\nIt reads published tokens, and no credential, grant or key.",
		Rules: []Rule{
			{Path: s.at("data", "tokens/*"), Capabilities: []string{"read"}, Why: "The tokens of all tenants."},
			{Path: s.at("metadata", "tokens/*"), Capabilities: []string{"list"}, Why: "Which tokens there are."},
		},
	}
}

func (s Settings) tenantReaderPolicy(tenant string) Policy {
	return Policy{
		Name: "reader-tenant",
		About: fmt.Sprintf(`for a service that works for one tenant, here %s.
For another one: refresher vault policy reader-tenant --id TENANT/NAME`, tenant),
		Rules: []Rule{
			{Path: s.at("data", "tokens/"+tenant+"/*"), Capabilities: []string{"read"}, Why: "The tokens of this tenant."},
			{Path: s.at("metadata", "tokens/"+tenant+"/*"), Capabilities: []string{"list"}, Why: "Which tokens it has."},
		},
	}
}

func (s Settings) tokenReaderPolicy(id credential.ID) Policy {
	return Policy{
		Name: "reader-token",
		About: fmt.Sprintf(`for a service that needs one token, here %s.
For another one: refresher vault policy reader-token --id TENANT/NAME`, id),
		Rules: []Rule{
			{Path: s.at("data", "tokens/"+id.String()), Capabilities: []string{"read"}, Why: "This token and no other."},
		},
	}
}

func (s Settings) onboardingPolicy() Policy {
	return Policy{
		Name: PolicyOnboarding,
		About: `for people and services that store credentials
("refresher credentials put, import, pause, resume, delete", Terraform). It sees
neither grants nor tokens nor keys, so that it cannot call a provider as a tenant
whose secrets it did not bring. To see how credentials fare, add the reader's.`,
		Rules: []Rule{
			{
				Path: s.at("data", "credentials/*"), Capabilities: []string{"create", "read", "update", "delete"},
				Why: `Read, because a change keeps the fields that it does not name and is written with
check-and-set; whoever only ever stores whole documents does without. Delete marks
the last version as deleted, and no more.`,
			},
			{
				Path: s.at("undelete", "credentials/*"), Capabilities: []string{"update"},
				Why: "To bring a deleted one back.",
			},
			{
				Path: s.at("metadata", "credentials/*"), Capabilities: []string{"list"},
				Why: `Which credentials there are. Never "delete" here: it destroys all versions, and a
credential stored again starts at version 1, which looks like one seen already.`,
			},
		},
	}
}

func (s Settings) recoveryPolicy() Policy {
	return Policy{
		Name: PolicyRecovery,
		About: `for an operator who repairs a grant that somebody deleted or broke.
Give it for the time of the repair: whoever can read grants can act for every tenant.`,
		Rules: []Rule{
			{
				Path: s.at("data", "grants/*"), Capabilities: []string{"read", "update"},
				Why: `To look at versions and to put an older one back ("vault kv rollback"). Vault takes
a write only with check-and-set, so that it cannot overwrite what the service writes
meanwhile. No "create": a grant begins with a seed in credentials/.`,
			},
			{
				Path: s.at("undelete", "grants/*"), Capabilities: []string{"update"},
				Why: "To bring deleted versions back.",
			},
			{
				Path: s.at("metadata", "grants/*"), Capabilities: []string{"list", "read"},
				Why: "Which versions there are, and when each was written.",
			},
			{
				Path: s.at("undelete", "escrow-keys/*"), Capabilities: []string{"update"},
				Why: "To bring a deleted escrow key back, without being able to read it.",
			},
			{
				Path: s.at("data", "escrow-keys/*"), Capabilities: []string{"create"},
				Why: `To add a key ("refresher vault escrow-key").`,
			},
			{
				Path: s.at("metadata", "escrow-keys/*"), Capabilities: []string{"list", "read"},
				Why: "Which keys there are, and which versions of them.",
			},
		},
	}
}

func (s Settings) administratorPolicy() Policy {
	s = s.withDefaults()
	write := []string{"create", "read", "update"}
	kubernetes, approle := s.Auth.Kubernetes.Mount, s.Auth.AppRole.Mount
	return Policy{
		Name: PolicyAdministrator,
		About: `for whoever runs "refresher vault setup", if that is not root.
It can write policies, so treat it like root's, and take it away afterwards.`,
		Rules: []Rule{
			{Path: "sys/mounts", Capabilities: []string{"read"}, Why: "Which secrets engines there are."},
			{Path: "sys/mounts/" + s.Mount, Capabilities: []string{"create", "update"}, Why: "To mount the store."},
			{Path: s.configPath(), Capabilities: write, Why: "To have the store keep what is written."},
			{Path: "sys/policies/acl/refresher*", Capabilities: write, Why: "The policies, whose names begin so."},
			{Path: "sys/auth", Capabilities: []string{"read"}, Why: "Which ways to log in there are."},
			{Path: "sys/auth/" + kubernetes, Capabilities: []string{"create", "update", "sudo"}, Why: "To enable the Kubernetes login."},
			{Path: "auth/" + kubernetes + "/config", Capabilities: write, Why: "Which cluster it trusts."},
			{Path: "auth/" + kubernetes + "/role/refresher*", Capabilities: write, Why: "Who may log in."},
			{Path: "sys/auth/" + approle, Capabilities: []string{"create", "update", "sudo"}, Why: "To enable the AppRole login."},
			{Path: "auth/" + approle + "/role/refresher*", Capabilities: write, Why: "The role, its ID, and its secret IDs."},
			{Path: s.at("data", "escrow-keys/*"), Capabilities: []string{"create"}, Why: "To make the first escrow key."},
			{Path: s.at("metadata", "escrow-keys/*"), Capabilities: []string{"list"}, Why: "To see whether there is one."},
		},
	}
}
