package soak

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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

const replicas = 2

// patience is how long the whole fleet may take to be served. Nobody may have to wait
// for longer than it takes at a third of the planned rate.
func (s *stage) patience() time.Duration {
	return time.Minute + time.Duration(3*float64(s.plan.credentials)/s.plan.rate*float64(time.Second))
}

// stage is a real Vault, a real Redis behind a proxy, the simulators and the replicas.
type stage struct {
	t       *testing.T
	plan    plan
	server  *vaulttest.Server
	redis   *redistest.Server
	proxy   *redistest.Proxy
	vault   *vault.Client
	sims    *providersim.Providers
	servers *providersim.Servers
	token   string
	running []*replica
}

func newStage(t *testing.T, p plan, seed uint64) *stage {
	t.Helper()
	s := &stage{t: t, plan: p, server: vaulttest.Start(t), redis: redistest.Start(t), sims: providersim.New(p.options(seed))}
	s.proxy = s.redis.Proxy(t)
	s.server.Policy("refresher", vault.Settings{}.Policy())
	s.token = s.server.Token(vaulttest.TokenOptions{Policies: []string{"refresher"}, Periodic: true, TTL: 24 * time.Hour})
	var err error
	if s.servers, err = s.sims.Start("127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.servers.Close)
	s.vault, err = vault.Open(t.Context(), vault.Settings{
		Address: s.server.Address, Auth: vault.Auth{Token: credential.Secret(s.server.RootToken)},
	}, vault.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.vault.Close)
	return s
}

// replica is one running process of the service.
type replica struct {
	cmd             *exec.Cmd
	spool, log, url string
	done            chan error
}

// run starts a replica, and waits until it is ready.
func (s *stage) run() {
	s.t.Helper()
	program, err := filepath.Abs("../../bin/refresher")
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		s.t.Fatalf("%v: run make build", err)
	}
	dir, address := s.t.TempDir(), testport.Address(s.t)
	r := &replica{spool: filepath.Join(dir, "spool"), log: filepath.Join(dir, "log"), url: "http://" + address, done: make(chan error, 1)}
	log, err := os.Create(r.log)
	if err != nil {
		s.t.Fatal(err)
	}
	r.cmd = exec.Command(program, "run")
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "VAULT_ADDR=" + s.server.Address, "VAULT_TOKEN=" + s.token,
		"REDIS_URL=redis://" + s.proxy.Addr, "REFRESHER_ESCROW_DIR=" + r.spool, "REFRESHER_HTTP_LISTEN=" + address,
	}, s.plan.settings()...)
	if err := r.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { r.done <- r.cmd.Wait(); log.Close() }()
	s.t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		if err := <-r.done; err != nil {
			s.t.Logf("a replica ended with: %v", err)
		}
		if text, err := os.ReadFile(r.log); err == nil && s.t.Failed() {
			s.t.Logf("the end of a replica's log:\n%s", text[max(0, len(text)-6000):])
		}
	})
	s.running = append(s.running, r)
	s.await("the replica is ready", func() string {
		if _, err := fetch(r.url + "/readyz"); err != nil {
			return err.Error()
		}
		return ""
	})
}

// stop ends the replicas as a deployment does, and looks at what they said.
func (s *stage) stop() {
	s.t.Helper()
	for _, r := range s.running {
		if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			s.t.Error(err)
		}
	}
	for _, r := range s.running {
		select {
		case err := <-r.done:
			if err != nil {
				s.t.Errorf("a replica stopped with %v", err)
			}
			r.done <- err
		case <-time.After(time.Minute):
			s.t.Error("a replica did not stop within a minute")
		}
		text, err := os.ReadFile(r.log)
		if err != nil {
			s.t.Error(err)
		}
		if bytes.Contains(text, []byte("a defect in Refresher")) {
			s.t.Error("a replica logged a panic")
		}
	}
}

// await asks until nothing is the matter any more.
func (s *stage) await(what string, matter func() string) {
	s.t.Helper()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(s.patience())
	for {
		word := matter()
		if word == "" {
			return
		}
		select {
		case <-poll.C:
		case <-limit:
			s.t.Fatalf("waited in vain for this: %s: %s", what, word)
		}
	}
}

// unsettled says what the replicas still have in their hands.
func (s *stage) unsettled() string {
	now := s.look(time.Now())
	switch {
	case now.readings == nil:
		return "the metrics cannot be read"
	case now.total("refresher_escrow_waiting") > 0:
		return fmt.Sprintf("%v sealed answers wait", now.total("refresher_escrow_waiting"))
	case now.total("refresher_open_intents") > 0:
		return fmt.Sprintf("%v intents are open", now.total("refresher_open_intents"))
	}
	return ""
}

func (s *stage) sealVault(lasts time.Duration) {
	s.server.Seal()
	<-time.After(lasts)
	s.server.Unseal()
}

// cutRedis is a Redis that cannot be reached, and has everything when it can.
func (s *stage) cutRedis(lasts time.Duration) {
	s.proxy.Cut()
	<-time.After(lasts)
	s.proxy.Heal()
}

// emptyRedis is a Redis that has nothing when it is back.
func (s *stage) emptyRedis(lasts time.Duration) {
	s.redis.Stop(s.t)
	<-time.After(lasts)
	s.redis.Restart(s.t)
}

// loseBoth has neither Vault nor Redis, and loses what Redis had.
func (s *stage) loseBoth(lasts time.Duration) {
	s.server.Seal()
	s.emptyRedis(lasts)
	s.server.Unseal()
}

// fetch returns what a URL answers with 200.
func fetch(url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return string(text), err
}
