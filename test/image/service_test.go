//go:build linux

package image

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/redistest"
	"refresher/internal/testport"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// checkService runs the service until it has rotated a grant, and stops it.
func (i *image) checkService(t *testing.T, ca authority) {
	vaultServer, redisServer := vaulttest.Start(t), redistest.Start(t)
	sims := providersim.New(providersim.Options{})
	providers, err := sims.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(providers.Close)
	client, err := vault.Open(t.Context(), vault.Settings{
		Address: vaultServer.Address, Auth: vault.Auth{Token: credential.Secret(vaultServer.RootToken)},
	}, vault.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	id := credential.ID{Tenant: "acme", Name: "checkfront"}
	app := sims.Checkfront.AddApp(providersim.AppSpec{})
	if _, err := client.PutCredential(t.Context(), id, map[string]string{
		"provider": "checkfront", "base_url": providers.URL("checkfront"), "client_id": app.ClientID,
		"client_secret": app.ClientSecret, "refresh_token": app.RefreshToken,
	}, nil); err != nil {
		t.Fatal(err)
	}

	address, spool, before := testport.Address(t), i.newVolume(t), i.tree(t)
	env := []string{
		"VAULT_ADDR=" + behindTLS(t, vaultServer.Address, ca), "VAULT_TOKEN=" + vaultServer.RootToken,
		"REDIS_URL=redis://" + redisServer.Addr, "REFRESHER_EGRESS_ALLOW=127.0.0.1", "REFRESHER_HTTP_LISTEN=" + address,
	}
	service := i.start(t, spool, env)
	redistest.Eventually(t, "the service is ready", func() bool { return service.answers("http://" + address + "/readyz") })
	if !service.answers("http://" + address + "/livez") {
		t.Error("it is ready and does not live")
	}
	redistest.Eventually(t, "the grant is rotated", func() bool {
		token, _, err := client.Token(t.Context(), id)
		return err == nil && token.Status == credential.StatusActive
	})
	service.checkStanding(t, i.root)

	if err := service.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := service.end(); code != 0 {
		t.Errorf("after SIGTERM it ended with %d", code)
	}
	if after := i.tree(t); !slices.Equal(before, after) {
		t.Errorf("the root was changed, from\n%q to\n%q", before, after)
	}
	if owner, err := os.Stat(filepath.Join(spool, "owner")); err != nil || ownerOf(owner) != "65532:65532" {
		t.Errorf("the spool has no identity of the user's: %v, %v", owner, err)
	}
}

// answers reports whether a path of the service answers 200.
func (p *process) answers(address string) bool {
	select {
	case <-p.done:
		p.t.Fatal("the service ended")
	default:
	}
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get(address)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// checkStanding asks the kernel who the process is, and what it may write to.
func (p *process) checkStanding(t *testing.T, root string) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"Uid:\t65532\t65532\t65532\t65532\n", "Gid:\t65532\t65532\t65532\t65532\n", "Groups:\t \n",
		"CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n",
	} {
		if !strings.Contains(string(status), "\n"+line) {
			t.Errorf("the process's status is not %q:\n%s", line, status)
		}
	}
	if link, err := os.Readlink(proc + "root"); err != nil || link != root {
		t.Errorf("the process's root is %q (%v), want %q", link, err, root)
	}
	// Mount points as the process sees them: those outside of its root are not there.
	mounts, err := os.ReadFile(proc + "mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	access := map[string]string{}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		access[fields[4]], _, _ = strings.Cut(fields[5], ",")
	}
	if len(access) != 2 || access["/"] != "ro" || access[volume] != "rw" {
		t.Errorf("mounts of the process: %v", access)
	}
}

// newVolume makes a new volume as a container runtime does: with the owner and the
// mode that the image gives to the folder where it goes.
func (i *image) newVolume(t *testing.T) string {
	t.Helper()
	template, err := os.Stat(filepath.Join(i.root, volume))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	stat := template.Sys().(*syscall.Stat_t)
	if err := os.Chown(dir, int(stat.Uid), int(stat.Gid)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, template.Mode()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tree lists the root with all that a write would change.
func (i *image) tree(t *testing.T) []string {
	t.Helper()
	var entries []string
	err := filepath.WalkDir(i.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		entries = append(entries, fmt.Sprintf("%s %s %s %d %s", path, info.Mode(), ownerOf(info), info.Size(), info.ModTime()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func ownerOf(info fs.FileInfo) string {
	stat := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", stat.Uid, stat.Gid)
}

// behindTLS puts a server with a certificate of the authority in front of another,
// and returns its URL.
func behindTLS(t *testing.T, address string, ca authority) string {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
	})
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}
