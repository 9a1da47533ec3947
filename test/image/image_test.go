//go:build linux

package image

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// everything is all that may be in the image.
const everything = `
drwxr-xr-x 0:0 etc
drwxr-xr-x 0:0 etc/ssl
drwxr-xr-x 0:0 etc/ssl/certs
-rw-r--r-- 0:0 etc/ssl/certs/ca-certificates.crt
-rwxr-xr-x 0:0 refresher
drwxr-xr-x 0:0 var
drwxr-xr-x 0:0 var/lib
drwxr-xr-x 65532:65532 var/lib/refresher
`

func TestImage(t *testing.T) {
	ca := newAuthority(t)
	b := newBuilder(t, ca.pem)
	i := b.build(t, runtime.GOARCH, "this")

	t.Run("configuration", i.checkConfig)
	t.Run("content", i.checkContent)
	t.Run("program", i.checkProgram)
	t.Run("nothing to write to", i.checkReadOnly)
	t.Run("service", func(t *testing.T) { i.checkService(t, ca) })
	t.Run("reproducible", func(t *testing.T) { i.checkReproducible(t, b) })
	t.Run("plain build", func(t *testing.T) { b.plainly(t).checkPlain(t) })
	t.Run("other architecture", func(t *testing.T) {
		other := b.build(t, otherArch(), "other")
		if other.os != "linux" || other.arch != otherArch() {
			t.Errorf("the image says that it is for %s/%s", other.os, other.arch)
		}
		other.checkStatic(t)
	})
}

func (i *image) checkConfig(t *testing.T) {
	c := i.config
	for _, field := range []struct{ what, got, want string }{
		{"platform", i.os + "/" + i.arch, "linux/" + runtime.GOARCH},
		{"user", c.User, fmt.Sprintf("%d:%d", user, user)},
		{"entry point", fmt.Sprint(c.Entrypoint), "[/refresher]"},
		{"command", fmt.Sprint(c.Cmd), "[run]"},
		{"volumes", fmt.Sprint(c.Volumes), "map[" + volume + ":{}]"},
		{"ports", fmt.Sprint(c.ExposedPorts), "map[8080/tcp:{}]"},
		{"version", c.Labels["org.opencontainers.image.version"], version},
		{"revision", c.Labels["org.opencontainers.image.revision"], commit},
		{"created", c.Labels["org.opencontainers.image.created"], date},
		{"title", c.Labels["org.opencontainers.image.title"], "refresher"},
		{"licences", c.Labels["org.opencontainers.image.licenses"], "Apache-2.0"},
	} {
		if field.got != field.want {
			t.Errorf("%s: %q, want %q", field.what, field.got, field.want)
		}
	}
	// What is set here would be set for every command, and above the operator's file.
	for _, variable := range c.Env {
		if !strings.HasPrefix(variable, "PATH=") {
			t.Errorf("the image sets %s", variable)
		}
	}
}

func (i *image) checkContent(t *testing.T) {
	var list strings.Builder
	built, err := time.Parse(time.RFC3339, date)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range i.files {
		fmt.Fprintln(&list, f)
		if !f.modified.Equal(built) {
			t.Errorf("%s is of %s, not of the commit's date", f.name, f.modified)
		}
	}
	if got := "\n" + list.String(); got != everything {
		t.Errorf("in the image there is%s\nwant%s", got, everything)
	}
}

func (i *image) checkProgram(t *testing.T) {
	i.checkStatic(t)
	i.try(t, nil, 0, fmt.Sprintf("refresher %s (%s) of %s, ", version, commit, date), "version")
	// The image has no zone files.
	const zone = "scheduler.scan=CRON_TZ=Europe/%s 0 3 * * *"
	i.try(t, nil, 0, "", "config", "check", "--set", fmt.Sprintf(zone, "Paris"))
	i.try(t, nil, 1, "Nowhere", "config", "check", "--set", fmt.Sprintf(zone, "Nowhere"))
}

// checkStatic wants a program for the image's architecture that loads nothing.
func (i *image) checkStatic(t *testing.T) {
	program, err := elf.Open(filepath.Join(i.root, "refresher"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[i.arch]; program.Machine != want {
		t.Errorf("the program is for %s, want %s", program.Machine, want)
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("the program is not static: it has a segment %s", segment.Type)
		}
	}
}

// checkReadOnly has the program try to write elsewhere than to its volume.
func (i *image) checkReadOnly(t *testing.T) {
	for _, dir := range []string{"/spool", "/var/spool", "/etc/refresher"} {
		i.try(t, []string{"REFRESHER_ESCROW_DIR=" + dir}, 1, "this user cannot make it below", "doctor", "--offline")
	}
	i.try(t, nil, 1, "/var/lib/refresher can be written", "doctor", "--offline")
}

// checkPlain wants a program for this machine on the base that was given.
func (i *image) checkPlain(t *testing.T) {
	if i.os != "linux" || i.arch != runtime.GOARCH {
		t.Errorf("the image says that it is for %s/%s", i.os, i.arch)
	}
	i.checkStatic(t)
	i.try(t, nil, 0, "refresher dev", "version")
	if _, err := os.Stat(filepath.Join(i.root, "etc", "passwd")); err != nil {
		t.Errorf("it does not stand on the base: %v", err)
	}
}

// checkReproducible builds the image and, elsewhere, the program once more.
func (i *image) checkReproducible(t *testing.T, b *builder) {
	if again := b.build(t, runtime.GOARCH, "again"); again.digest != i.digest {
		t.Errorf("the same image, built again, is %s, not %s", again.digest, i.digest)
	}
	program := filepath.Join(t.TempDir(), "refresher")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-tags=timetzdata",
		"-ldflags=-s -w -X main.version="+version+" -X main.commit="+commit+" -X main.date="+date, "-o", program, "./cmd/refresher")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	if inside, outside := sum(t, filepath.Join(i.root, "refresher")), sum(t, program); !bytes.Equal(inside, outside) {
		t.Errorf("the program that was built in the image is not the one that was built beside it: %x, %x", inside, outside)
	}
}

func sum(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(content)
	return slices.Clone(hash[:])
}
