//go:build linux

package image

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What is built says of itself.
const (
	version = "v1.2.3"
	commit  = "0123456789ab"
	date    = "2026-01-02T03:04:05Z"
	// epoch is date in seconds.
	epoch = "1767323045"
)

// builder builds images with buildah, in a store of its own.
type builder struct {
	dir    string
	env    []string
	goroot string
	mod    string
	cache  string
}

// compiler is the image that GO_IMAGE names in these builds.
const compiler = "localhost/compiler"

// newBuilder makes the compiler's image, whose CA certificates are those in pem.
func newBuilder(t *testing.T, pem []byte) *builder {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test builds in a chroot, mounts, and becomes another user: run it as root")
	}
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Fatal("this test builds an image: apt-get install buildah")
	}
	b := &builder{dir: t.TempDir()}
	store := filepath.Join(b.dir, "storage.conf")
	write(t, store, "[storage]\ndriver = \"vfs\"\ngraphroot = \""+b.dir+"/store\"\nrunroot = \""+b.dir+"/run\"\n")
	b.env = append(os.Environ(), "CONTAINERS_STORAGE_CONF="+store, "BUILDAH_ISOLATION=chroot", "TMPDIR="+b.dir)

	places := strings.Split(b.run(t, "go", "env", "GOROOT", "GOMODCACHE", "GOCACHE"), "\n")
	b.goroot, b.mod, b.cache = places[0], places[1], places[2]
	// The build itself finds them in the cache, and asks nobody.
	b.run(t, "go", "mod", "download")

	base := filepath.Join(b.dir, "base")
	for _, dir := range []string{"tmp", "etc/ssl/certs"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(base, "etc/ssl/certs/ca-certificates.crt"), string(pem))
	container := b.run(t, "buildah", "from", "scratch")
	b.run(t, "buildah", "copy", "--quiet", container, base, "/")
	b.run(t, "buildah", "config", "--env", "GOPATH=/go", "--env", "GOCACHE=/cache", "--env", "GOPROXY=off", container)
	b.run(t, "buildah", "commit", "--quiet", "--rm", container, compiler)
	return b
}

// build builds the image for an architecture and reads it.
func (b *builder) build(t *testing.T, arch, tag string) *image {
	t.Helper()
	const name = "localhost/refresher"
	b.env = append(b.env, "BUILDER=buildah", "IMAGE="+name, "TAG="+tag, "PLATFORM=linux/"+arch,
		"VERSION="+version, "COMMIT="+commit, "DATE="+date, "SOURCE_DATE_EPOCH="+epoch)
	b.run(t, "sh", "tools/image.sh", "--pull-never", "--build-arg", "GO_IMAGE="+compiler,
		"--volume", b.goroot+":/usr/local/go:ro", "--volume", b.mod+":/go/pkg/mod:ro", "--volume", b.cache+":/cache")
	return b.read(t, name+":"+tag, tag)
}

// plainly builds the image as somebody does who has no more than a buildah, a compiler's
// image and a base of their own: by no script, and with nothing that they need not say.
func (b *builder) plainly(t *testing.T) *image {
	t.Helper()
	const base, name = "localhost/base", "localhost/plain"
	folder := filepath.Join(t.TempDir(), "base")
	if err := os.MkdirAll(filepath.Join(folder, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "etc", "passwd"), "refresher:x:65532:65532::/:/none\n")
	container := b.run(t, "buildah", "from", "scratch")
	b.run(t, "buildah", "copy", "--quiet", container, folder, "/")
	b.run(t, "buildah", "commit", "--quiet", "--rm", container, base)

	b.env = append(b.env, "STORAGE_DRIVER=vfs")
	b.run(t, "buildah", "bud", "--isolation", "chroot", "--pull-never", "--tag", name,
		"--build-arg", "BASE="+base, "--build-arg", "GO_IMAGE="+compiler,
		"--volume", b.goroot+":/usr/local/go:ro", "--volume", b.mod+":/go/pkg/mod:ro", "--volume", b.cache+":/cache", ".")
	return b.read(t, name, "plain")
}

// read reads an image.
func (b *builder) read(t *testing.T, name, tag string) *image {
	t.Helper()
	layout := filepath.Join(b.dir, tag)
	b.run(t, "buildah", "push", "--quiet", name, "oci:"+layout)
	return readImage(t, layout)
}

// run runs a program in the root of the repository and returns what it printed.
func (b *builder) run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = "../..", b.env
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, &complaint)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// otherArch is the architecture of the two that this machine has not.
func otherArch() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

// authority is a made-up CA. It stands in the compiler's image in the place of the
// public ones, so that a server that it vouches for is trusted by what was built
// only if the certificates come through, to where the program looks for them.
type authority struct {
	pem         []byte
	certificate tls.Certificate
}

// newAuthority makes a CA and the certificate of a server on 127.0.0.1.
func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return authority{
		pem:         pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}
}
