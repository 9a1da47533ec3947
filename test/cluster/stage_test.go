package cluster

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/redistest"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// stage is a namespace whose pods run, with what they need around them: a real Vault
// that speaks TLS, a real Redis, and the simulators under the providers' own names.
// For a pod, Vault is vault.vault.svc or vault.example.com, and Redis is redis or
// redis.example.com.
type stage struct {
	*tenancy
	vault   *vaulttest.Server
	redis   *redistest.Server
	client  *vault.Client
	sims    *providersim.Providers
	servers *providersim.Servers
	node    *node
}

// providers are the hosts that the simulators stand for.
var providers = map[string]string{
	"acme.checkfront.com": "checkfront", "api.bookeo.com": "bookeo", "www.clicrdv.com": "clicrdv",
	"api.ankor.io": "ankor", "auth.shopatron.com": "kibo",
}

func newStage(ns *tenancy) *stage {
	t := ns.t
	t.Helper()
	s := &stage{tenancy: ns, vault: startVault(t), redis: redistest.Start(t), sims: providersim.New(providersim.Options{})}
	servers, err := s.sims.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	s.servers = servers
	s.client, err = vault.Open(t.Context(), vault.Settings{
		Address: s.vault.Address, Auth: vault.Auth{Token: credential.Secret(s.vault.RootToken)},
	}, vault.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)

	s.configureRedis("appendonly", "yes") // the doctor would warn of one that forgets
	services := []service{
		s.outside("vault.vault.svc", "8200", s.vault.Address, true),
		s.outside("vault.example.com", "8200", s.vault.Address, true),
		s.outside("redis", "6379", "tcp://"+s.redis.Addr, false),
		s.outside("redis.example.com", "6379", "tcp://"+s.redis.Addr, false),
	}
	for host, provider := range providers {
		services = append(services, s.outside(host, "443", servers.URL(provider), true))
	}
	s.node = startNode(t, s.name, services)
	return s
}

// startVault starts a Vault that nothing here kills by mistake. The kernel kills it when
// the thread that started it ends, and threads do end here: those that were in a pod's
// network. This one belongs to the test alone from now on.
func startVault(t *testing.T) *vaulttest.Server {
	t.Helper()
	runtime.LockOSThread()
	return vaulttest.Start(t)
}

func (s *stage) configureRedis(setting, value string) {
	s.t.Helper()
	if err := s.redis.Client(s.t).ConfigSet(s.t.Context(), setting, value).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// outside is the server at a URL, as pods see it.
func (s *stage) outside(name, port, at string, secure bool) service {
	s.t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		s.t.Fatal(err)
	}
	out := service{name: name, port: port, target: u.Host}
	if secure {
		if out.tls, err = kube.authority.server(name); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

// trustProviders makes the Secret that providerValues mount.
func (s *stage) trustProviders() {
	s.t.Helper()
	s.kubectl("create", "secret", "generic", "ca", "--from-file=ca.crt="+kube.caFile)
}

// providerValues let the service take the simulators for the providers: by another
// certificate authority, and on loopback. It looks for new credentials more often.
func providerValues() map[string]any {
	return map[string]any{
		"config": map[string]any{
			"egress":    map[string]any{"allow": []string{"127.1.0.0/16"}, "ca_cert": "/etc/providers/ca.crt"},
			"scheduler": map[string]any{"scan": "@every 2s"},
		},
		"extraVolumes": []any{
			map[string]any{"name": "providers", "secret": map[string]any{"secretName": "ca"}},
		},
		"extraVolumeMounts": []any{
			map[string]any{"name": "providers", "mountPath": "/etc/providers", "readOnly": true},
		},
	}
}

// baseValues are these, and the authority that vouches for Vault.
func baseValues() map[string]any {
	values := providerValues()
	values["vault"] = map[string]any{"caSecret": map[string]any{"name": "ca"}}
	return values
}

// put stores a credential as a person would.
func (s *stage) put(path string, data map[string]string) credential.ID {
	s.t.Helper()
	id, err := credential.ParseID(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.client.PutCredential(s.t.Context(), id, data, nil); err != nil {
		s.t.Fatal(err)
	}
	return id
}

// credentials stores one that rotates, one that is minted and one that is static.
func (s *stage) credentials() []credential.ID {
	s.t.Helper()
	app := s.sims.Checkfront.AddApp(providersim.AppSpec{})
	client := s.sims.Kibo.AddClient(providersim.ClientSpec{})
	key := s.sims.Bookeo.AddKey(providersim.KeySpec{AccountID: "A1", Permissions: []string{"bookings_rw_all"}})
	return []credential.ID{
		s.put("acme/checkfront", map[string]string{
			"provider": "checkfront", "base_url": "https://acme.checkfront.com", "client_id": app.ClientID,
			"client_secret": app.ClientSecret, "refresh_token": app.RefreshToken,
		}),
		s.put("acme/kibo", map[string]string{"provider": "kibo", "client_id": client.ClientID, "client_secret": client.ClientSecret}),
		s.put("other/bookeo", map[string]string{"provider": "bookeo", "api_key": key.APIKey, "secret_key": key.SecretKey}),
	}
}

// serves returns what is wrong with a published token; nil if its provider takes it.
func (s *stage) serves(id credential.ID) error {
	tok, _, err := s.client.Token(s.t.Context(), id)
	if err != nil {
		return err
	}
	if tok.Status != credential.StatusActive {
		return fmt.Errorf("%s is %s: %s", id, tok.Status, tok.Message)
	}
	return s.servers.Check(s.t.Context(), tok.Provider, tok.Auth, "", reveal(tok.Headers), reveal(tok.Query))
}

func reveal(m map[string]credential.Secret) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = v.Reveal()
	}
	return out
}

// workers returns the running pods of the service.
func (s *stage) workers() []*pod {
	s.t.Helper()
	pods, err := s.pods("app.kubernetes.io/component=worker")
	if err != nil {
		s.t.Fatal(err)
	}
	return pods
}

// exec runs a command in a pod, as "kubectl exec" would have its kubelet do.
func (s *stage) exec(name string, command ...string) string {
	s.t.Helper()
	running := s.node.running(name)
	if running == nil {
		s.t.Fatalf("pod %s does not run", name)
	}
	id := strconv.Itoa(running.pod.Spec.SecurityContext.RunAsUser)
	args := append([]string{
		"--target=" + strconv.Itoa(running.main().cmd.Process.Pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd=/",
		"--setuid=" + id, "--setgid=" + strconv.Itoa(running.pod.Spec.SecurityContext.RunAsGroup), "--",
	}, command...)
	cmd := exec.CommandContext(s.t.Context(), "nsenter", args...)
	cmd.Env = strings.Split(strings.TrimRight(s.procFile(name, "environ"), "\x00"), "\x00")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v in %s: %v\n%s", command, name, err, out)
	}
	return string(out)
}

// procFile reads a file of /proc about a pod's process.
func (s *stage) procFile(name, file string) string {
	s.t.Helper()
	running := s.node.running(name)
	if running == nil {
		s.t.Fatalf("pod %s does not run", name)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", running.main().cmd.Process.Pid, file))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}
