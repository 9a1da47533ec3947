package cluster

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/providersim"
)

// TestInstallGuide follows docs/install.md from an empty namespace to a first
// credential, by the commands that stand there. Then it looks at the pods that run.
func TestInstallGuide(t *testing.T) {
	t.Parallel()
	s := newStage(&tenancy{t, "refresher"})
	s.configureRedis("requirepass", redisPassword)
	g := newGuide(s)

	g.run(g.block("2. Namespace", "console", 0))
	s.trustProviders()
	g.run(g.block("3. Vault", "console", 0)) // Vault runs elsewhere
	g.run(g.block("3. Vault", "console", 1), "vault setup --auth kubernetes", "vault setup --auth kubernetes --kubernetes-host "+kube.url+
		" --kubernetes-ca-file cluster-ca.pem --kubernetes-reviewer-token-file reviewer.token")
	g.write("refresher.yaml", g.block("4. Install", "yaml", 0)+g.providers())
	g.run(g.block("4. Install", "console", 1))
	s.wantAllGreen(g.run(g.block("5. See", "console", 0)))

	client := s.sims.Kibo.AddClient(providersim.ClientSpec{})
	g.write("id", client.ClientID)
	g.write("secret", client.ClientSecret)
	said := g.run(g.block("6. A first credential", "console", 0),
		"client_id=- client_secret=-", "client_id=@id client_secret=@secret")
	if !strings.Contains(said, "acme/kibo") {
		t.Errorf("the credential is not shown:\n%s", said)
	}
	s.alive(append(s.credentials(), credential.ID{Tenant: "acme", Name: "kibo"}))

	s.confined()
	s.probesTellTheTruth()
	s.spentOnce()
	s.logsAreClean()
}

// spentOnce: no refresh token was presented twice.
func (s *stage) spentOnce() {
	for hash, n := range s.sims.Checkfront.Ledger().Presentations() {
		if n > 1 {
			s.t.Errorf("a refresh token (%.8s) was presented %d times", hash, n)
		}
	}
}

// logsAreClean: what the pods log holds no secret.
func (s *stage) logsAreClean() {
	for _, p := range s.workers() {
		log := s.kubectl("logs", p.Metadata.Name)
		for _, secret := range s.sims.Secrets() {
			if strings.Contains(log, secret) {
				s.t.Errorf("the log of %s shows a secret (%.8s…)", p.Metadata.Name, secret)
			}
		}
	}
}

// volatile is what the doctor says of a disk that this machine's tests happen to be
// on: a container's own layer, or memory.
var volatile = regexp.MustCompile(`(?m)^warn  spool: .* is (in memory|on a container's own layer) .*\n.*\n`)

// wantAllGreen wants nothing but ok of the doctor.
func (s *stage) wantAllGreen(report string) {
	s.t.Helper()
	for _, check := range []string{"configuration", "vault", "redis", "spool", "egress"} {
		if !strings.Contains(report, "ok    "+check+":") {
			s.t.Errorf("the doctor does not say that this is well: %s", check)
		}
	}
	if bad := regexp.MustCompile(`(?m)^(warn|FAIL) `); bad.MatchString(volatile.ReplaceAllString(report, "")) {
		s.t.Errorf("the doctor says:\n%s", report)
	}
}

// confined looks at what the kernel says of the processes.
func (s *stage) confined() {
	s.t.Helper()
	for _, p := range s.workers() {
		status := s.procFile(p.Metadata.Name, "status")
		for field, want := range map[string]string{
			"Uid": "65532 65532 65532 65532", "Gid": "65532 65532 65532 65532", "Groups": "65532",
			"NoNewPrivs": "1", "CapEff": "0000000000000000", "CapBnd": "0000000000000000",
		} {
			if got := regexp.MustCompile(`(?m)^` + field + `:\s*(.*?)\s*$`).FindStringSubmatch(status); got == nil || strings.Join(strings.Fields(got[1]), " ") != want {
				s.t.Errorf("%s of %s is %q, want %s", field, p.Metadata.Name, got, want)
			}
		}
		if mounted := s.procFile(p.Metadata.Name, "mountinfo"); !regexp.MustCompile(`(?m)^\S+ \S+ \S+ \S+ / ro[, ]`).MatchString(mounted) {
			s.t.Errorf("the root of %s can be written:\n%s", p.Metadata.Name, mounted)
		}
	}
}

// probesTellTheTruth: each probe is answered where the pod says; without Redis a pod
// lives and is not ready, and its Service leaves it out.
func (s *stage) probesTellTheTruth() {
	s.probesAnswer(map[string]string{"startup": "200", "liveness": "200", "readiness": "200"})
	s.eventually("the Service has both pods", func() error { return s.endpoints(2) })
	s.redis.Stop(s.t)
	s.probesAnswer(map[string]string{"liveness": "200", "readiness": "503"})
	s.eventually("the Service has no pod", func() error { return s.endpoints(0) })
	s.redis.Restart(s.t)
	s.configureRedis("requirepass", redisPassword)
	s.eventually("the Service has both pods again", func() error { return s.endpoints(2) })
}

func (s *stage) probesAnswer(want map[string]string) {
	s.t.Helper()
	for _, p := range s.workers() {
		for probe, status := range want {
			s.eventually(fmt.Sprintf("the %s probe of %s is answered %s", probe, p.Metadata.Name, status), func() error {
				if got := s.node.running(p.Metadata.Name).answer(probe); !strings.HasPrefix(got, status+" ") {
					return fmt.Errorf("it is %q", got)
				}
				return nil
			})
		}
	}
}

// endpoints wants so many ready addresses behind the release's Service.
func (s *stage) endpoints(want int) error {
	var slices struct {
		Items []struct {
			Endpoints []struct {
				Conditions struct {
					Ready bool `json:"ready"`
				} `json:"conditions"`
			} `json:"endpoints"`
		} `json:"items"`
	}
	if err := s.getFrom("discovery.k8s.io/v1", "endpointslices?labelSelector=kubernetes.io/service-name=refresher", &slices); err != nil {
		return err
	}
	ready := 0
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready {
				ready++
			}
		}
	}
	if ready != want {
		return fmt.Errorf("%d addresses are ready", ready)
	}
	return nil
}
