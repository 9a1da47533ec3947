package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// kube is the cluster that all tests of this package share, each in namespaces of its
// own. It holds the CRDs of the Prometheus operator.
var kube *controlPlane

// patience is how long anything here may take before a test fails. It is long because
// the machine may be busy; nothing waits for it to pass.
const patience = 90 * time.Second

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == becomeContainer {
		if err := enterContainer(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "container:", err)
		}
		os.Exit(125)
	}
	if filepath.Base(os.Args[0]) == vaultProgram {
		if err := actAsVault(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		os.Exit(0)
	}
	code, err := runOnCluster(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runOnCluster starts the cluster, runs the tests on it and stops it.
func runOnCluster(m *testing.M) (code int, err error) {
	if err := needs("etcd", "redis-server", "nsenter"); err != nil {
		return 1, err
	}
	if os.Geteuid() != 0 {
		return 1, errors.New("these tests run containers, which only root can: run them as root")
	}
	dir, err := os.MkdirTemp("", "refresher-cluster-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kube, err = startControlPlane(ctx, dir)
	if err != nil {
		return 1, err
	}
	defer kube.stop()
	if err := kube.installCRDs(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// needs reports which programs this machine lacks, and how to come by them.
func needs(installed ...string) error {
	var missing []error
	for _, name := range installed {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, err)
		}
	}
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kubectl", "helm", "vault-dev", "refresher"} {
		if _, err := os.Stat(tool(name)); err != nil {
			missing = append(missing, err)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w\nrun make chart-test, which builds and installs what these tests need", errors.Join(missing...))
	}
	return nil
}

// repository is the folder that holds the service's go.mod.
func repository() string {
	path, err := filepath.Abs("../..")
	if err != nil {
		panic(err) // there is no working directory
	}
	return path
}

// tool is a program that the Makefile builds.
func tool(name string) string { return filepath.Join(repository(), "bin", name) }
