package setup

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"refresher/internal/credential"
	"refresher/vault"
)

// Vault is what a plan is applied to; *vault.Client is one.
type Vault interface {
	ReadPath(ctx context.Context, path string) (map[string]any, error)
	WritePath(ctx context.Context, path string, body map[string]any) (map[string]any, error)
	EscrowKeyIDs(ctx context.Context) ([]string, error)
	CreateEscrowKey(ctx context.Context, id string, key vault.EscrowKey) error
}

// Plan is all that is to be there in the end, in the order in which one thing
// needs the other.
type Plan struct {
	options Options
	steps   []step
}

// step is one thing that is to be there.
type step struct {
	// what it is, for a person.
	what string
	// commands do the same by hand; a line that begins with '#' explains.
	commands []string
	// ensure sees to it, and says whether it was there.
	ensure func(ctx context.Context, v Vault) (Result, error)
}

// New computes a plan. It reads the files that the options name, and asks nobody.
func New(o Options) (*Plan, error) {
	o = o.withDefaults()
	var err error
	if o.Settings, err = o.Settings.Paths(); err != nil {
		return nil, err
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	p := &Plan{options: o}
	p.add(p.mount(), p.config())
	for _, policy := range o.Settings.Policies(credential.ID{}) {
		if name := p.policyName(policy.Name); name != "" {
			p.add(p.policy(name, policy))
		}
	}
	if err := p.addLogin(); err != nil {
		return nil, err
	}
	p.add(p.escrowKey())
	return p, nil
}

func (p *Plan) add(steps ...step) { p.steps = append(p.steps, steps...) }

// policyName returns what a policy is called in Vault; empty for one that is not
// stored: it names a tenant, or is the administrator's own.
func (p *Plan) policyName(name string) string {
	switch name {
	case vault.PolicyService:
		return p.options.Name
	case vault.PolicyReader, vault.PolicyOnboarding, vault.PolicyRecovery:
		return p.options.Name + "-" + name
	default:
		return ""
	}
}

func (p *Plan) policy(name string, policy vault.Policy) step {
	text := policy.String()
	return object{
		what: "policy " + name,
		path: "sys/policies/acl/" + name,
		want: map[string]any{"policy": text},
		commands: []string{
			fmt.Sprintf("vault policy write %s - <<'EOF'\n%sEOF", name, text),
		},
	}.step()
}

func (p *Plan) addLogin() error {
	switch p.options.Login {
	case LoginKubernetes:
		return p.addKubernetes()
	case LoginAppRole:
		p.addAppRole()
	}
	return nil
}

// method is the step that enables a login method.
func (p *Plan) method(kind, mount string) step {
	return step{
		what:     "login method auth/" + mount,
		commands: methodCommands(kind, mount),
		ensure: func(ctx context.Context, v Vault) (Result, error) {
			methods, err := v.ReadPath(ctx, "sys/auth")
			if err != nil {
				return Result{}, err
			}
			switch have := typeOf(methods, mount); have {
			case kind:
				return Result{State: Unchanged}, nil
			case "":
				_, err := v.WritePath(ctx, "sys/auth/"+mount, map[string]any{"type": kind})
				return Result{State: Created}, err
			default:
				return Result{}, fmt.Errorf("it is of type %s, not %s: name another path for it", have, kind)
			}
		},
	}
}

func (p *Plan) addKubernetes() error {
	k, mount := p.options.Kubernetes, p.options.Settings.Auth.Kubernetes.Mount
	ca, err := fileText(k.CAFile)
	if err != nil {
		return err
	}
	reviewer, err := fileText(k.ReviewerTokenFile)
	if err != nil {
		return err
	}
	// What is not given comes from Vault's own pod.
	outside := ca != "" && reviewer != ""
	config := object{
		what:  "cluster that auth/" + mount + " trusts",
		path:  "auth/" + mount + "/config",
		want:  map[string]any{"kubernetes_host": k.Host, "kubernetes_ca_cert": ca, "disable_local_ca_jwt": outside},
		leave: !p.options.ChangeShared,
	}
	if reviewer != "" {
		// Vault does not say the token, only that there is one.
		config.hidden = map[string]any{"token_reviewer_jwt": reviewer}
		config.proof = map[string]any{"token_reviewer_jwt_set": true}
	}
	config.commands = p.clusterCommands(config, k, outside)
	role := map[string]any{
		"bound_service_account_names":      k.ServiceAccounts,
		"bound_service_account_namespaces": k.Namespaces,
		"audience":                         k.Audience,
	}
	p.add(p.method("kubernetes", mount), config.step(), p.role(mount, role))
	return nil
}

func (p *Plan) addAppRole() {
	mount := p.options.Settings.Auth.AppRole.Mount
	p.add(p.method("approle", mount), p.role(mount, map[string]any{
		"bind_secret_id": true,
		// The service logs in again with it whenever its token was lost.
		"secret_id_ttl":      0,
		"secret_id_num_uses": 0,
	}), p.roleID(mount))
	if p.options.SecretIDFile != "" {
		p.add(p.secretID(mount))
	}
}

// role is the role of a login method, with what the method itself wants.
func (p *Plan) role(mount string, want map[string]any) step {
	// A periodic token is renewed for as long as the service lives, and is gone one
	// period after its end.
	want["token_policies"] = []string{p.options.Name}
	want["token_period"] = int(p.options.Period.Seconds())
	path := p.rolePath(mount)
	fields := make([]string, 0, len(want))
	for _, name := range sortedKeys(want) {
		fields = append(fields, name+"="+quoted(plain(want[name])))
	}
	return object{
		what: "role " + path, path: path, want: want,
		commands: []string{"vault write " + path + " " + strings.Join(fields, " ")},
	}.step()
}

func (p *Plan) rolePath(mount string) string { return "auth/" + mount + "/role/" + p.options.Name }

// Next says what to run when the plan has been applied.
func (p *Plan) Next() string {
	s := p.options.Settings
	switch p.options.Login {
	case LoginKubernetes:
		return fmt.Sprintf("set vault.auth.kubernetes.role to %s and vault.auth.kubernetes.mount to %s, and run in the service's pod: refresher doctor",
			p.options.Name, s.Auth.Kubernetes.Mount)
	case LoginAppRole:
		return fmt.Sprintf("set vault.auth.approle.role_id to the role ID above, vault.auth.approle.mount to %s and vault.auth.approle.secret_id_file to %s, and run: refresher doctor",
			s.Auth.AppRole.Mount, cmp.Or(p.options.SecretIDFile, "a file with a secret ID"))
	default:
		return fmt.Sprintf("vault token create -policy=%s -period=24h -field=token > refresher.token; then REFRESHER_VAULT_TOKEN_FILE=refresher.token refresher doctor", p.options.Name)
	}
}
