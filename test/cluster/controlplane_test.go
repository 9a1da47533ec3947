package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"refresher/internal/testport"
)

// controlPlane is a Kubernetes without nodes: etcd, the API server and the
// controllers, on loopback.
type controlPlane struct {
	// url is the API server's, and caFile the certificate that vouches for it.
	url, caFile string
	// kubeconfig makes whoever uses it the cluster's administrator.
	kubeconfig string
	api        *apiClient
	authority  *pki
	dir        string
	processes  []*process
}

// controllers are those whose work this package looks at. What belongs to nodes is
// left out: nobody sends heartbeats here.
const controllers = "serviceaccount-controller,root-ca-certificate-publisher-controller,namespace-controller," +
	"garbage-collector-controller,statefulset-controller,deployment-controller,replicaset-controller,job-controller," +
	"disruption-controller,endpointslice-controller,persistentvolume-binder-controller," +
	"persistentvolumeclaim-protection-controller,persistentvolume-protection-controller"

// startControlPlane returns when the API server is ready. It keeps its files in dir.
func startControlPlane(ctx context.Context, dir string) (*controlPlane, error) {
	var failed error
	// Between the choice of a port and its use somebody else can take it.
	for i := range 3 {
		attempt := filepath.Join(dir, fmt.Sprintf("control-plane-%d", i))
		if err := os.Mkdir(attempt, 0o700); err != nil {
			return nil, err
		}
		c := &controlPlane{dir: attempt}
		if failed = c.start(ctx); failed == nil {
			return c, nil
		}
		c.stop()
	}
	return nil, failed
}

func (c *controlPlane) start(ctx context.Context) error {
	authority, err := newPKI(c.dir)
	if err != nil {
		return err
	}
	c.authority = authority
	if err := authority.issueAll(); err != nil {
		return err
	}
	var ports [3]string
	for i := range ports {
		port, err := testport.Free()
		if err != nil {
			return err
		}
		ports[i] = strconv.Itoa(port)
	}
	etcd := "http://127.0.0.1:" + ports[0]
	c.url, c.caFile = "https://127.0.0.1:"+ports[2], authority.file("ca.crt")
	if err := c.writeKubeconfig(authority); err != nil {
		return err
	}
	if c.api, err = newAPIClient(c.url, authority); err != nil {
		return err
	}
	if err := c.spawn("etcd", "etcd", etcdFlags(c.dir, etcd, "http://127.0.0.1:"+ports[1])...); err != nil {
		return err
	}
	if err := c.spawn("kube-apiserver", tool("kube-apiserver"), apiserverFlags(authority, etcd, ports[2])...); err != nil {
		return err
	}
	if err := c.await(ctx, "/readyz"); err != nil {
		return err
	}
	err = c.spawn("kube-controller-manager", tool("kube-controller-manager"),
		"--kubeconfig="+c.kubeconfig, "--controllers="+controllers, "--leader-elect=false", "--secure-port=0",
		"--service-account-private-key-file="+authority.file("service-accounts.key"), "--root-ca-file="+c.caFile,
		"--kube-api-qps=200", "--kube-api-burst=400")
	if err != nil {
		return err
	}
	return c.await(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
}

func etcdFlags(dir, client, peer string) []string {
	return []string{
		"--data-dir=" + filepath.Join(dir, "etcd"), "--log-level=warn", "--logger=zap",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
	}
}

func apiserverFlags(authority *pki, etcd, port string) []string {
	signing := authority.file("service-accounts.key")
	return []string{
		"--etcd-servers=" + etcd, "--bind-address=127.0.0.1", "--secure-port=" + port,
		// As on most clusters: it is Pod Security that keeps privileged pods away.
		"--allow-privileged=true",
		// Nobody can be pointed at a loopback address, so no Service "kubernetes" is.
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file=" + authority.file("apiserver.crt"), "--tls-private-key-file=" + authority.file("apiserver.key"),
		"--client-ca-file=" + authority.file("ca.crt"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + signing, "--service-account-key-file=" + signing,
		"--cert-dir=" + authority.dir, "--profiling=false", "--kubelet-preferred-address-types=InternalIP",
	}
}

func (c *controlPlane) spawn(name, program string, args ...string) error {
	p, err := spawn(c.dir, name, exec.Command(program, args...), nil)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	return nil
}

// await waits until the API server answers a path with 200.
func (c *controlPlane) await(ctx context.Context, path string) error {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		err := c.api.get(ctx, path, nil)
		if err == nil {
			return nil
		}
		for _, p := range c.processes {
			if ended := p.alive(); ended != nil {
				return ended
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("kubernetes is not ready: %w", err)
		}
	}
}

// stop ends the processes, the last one first.
func (c *controlPlane) stop() {
	for len(c.processes) > 0 {
		last := len(c.processes) - 1
		c.processes[last].end(syscall.SIGKILL, 0)
		c.processes = c.processes[:last]
	}
}

func (c *controlPlane) writeKubeconfig(authority *pki) error {
	c.kubeconfig = authority.file("kubeconfig")
	text := strings.NewReplacer("URL", c.url, "CA", c.caFile, "CERT", authority.file("admin.crt"), "KEY", authority.file("admin.key")).
		Replace(`apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: admin}}]
clusters: [{name: test, cluster: {server: "URL", certificate-authority: "CA"}}]
users: [{name: admin, user: {client-certificate: "CERT", client-key: "KEY"}}]
`)
	return os.WriteFile(c.kubeconfig, []byte(text), 0o600)
}

// installCRDs installs the kinds of the Prometheus operator, whose objects the chart
// can make.
func (c *controlPlane) installCRDs(ctx context.Context) error {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", operatorModule)
	list.Dir = filepath.Join(repository(), "tools", "chart")
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("find %s in tools/chart: %w", operatorModule, err)
	}
	var wanted []string
	for _, kind := range []string{"servicemonitors", "podmonitors", "prometheusrules"} {
		wanted = append(wanted, "--filename="+filepath.Join(strings.TrimSpace(string(out)),
			"example", "prometheus-operator-crd", "monitoring.coreos.com_"+kind+".yaml"))
	}
	if _, err := c.kubectl(ctx, nil, append([]string{"apply", "--server-side"}, wanted...)...); err != nil {
		return err
	}
	_, err = c.kubectl(ctx, nil, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
	return err
}

const operatorModule = "github.com/prometheus-operator/prometheus-operator"
