package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// redisPassword is the one that the guide's reader has in redis-password.txt.
const redisPassword = "made-up"

// guide is docs/install.md, and the folder in which its reader works.
type guide struct {
	stage *stage
	text  string
	dir   string
	// vault is Vault's URL for somebody outside of the cluster.
	vault string
}

// newGuide prepares what the guide says that its reader has: Vault with a certificate
// and an administrator's token, a Redis with a password, the program and the chart.
func newGuide(s *stage) *guide {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(), "docs", "install.md"))
	if err != nil {
		s.t.Fatal(err)
	}
	g := &guide{stage: s, text: string(text), dir: s.t.TempDir()}
	secure, err := kube.authority.server("vault.example.com")
	if err != nil {
		s.t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", secure)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = listener.Close() })
	go accept(listener, strings.TrimPrefix(s.vault.Address, "http://"))
	g.vault = "https://" + listener.Addr().String()

	ca, err := os.ReadFile(kube.caFile)
	if err != nil {
		s.t.Fatal(err)
	}
	g.write("vault-ca.pem", string(ca))
	g.write("redis-password.txt", redisPassword)
	g.write("environment", "")
	this, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(g.programs(), 0o700), os.Symlink(this, filepath.Join(g.programs(), vaultProgram))); err != nil {
		s.t.Fatal(err)
	}
	for _, folder := range []string{"bin", "charts"} {
		if err := os.Symlink(filepath.Join(repository(), folder), filepath.Join(g.dir, folder)); err != nil {
			s.t.Fatal(err)
		}
	}
	return g
}

// programs is a folder with what the guide says must be on its reader's machine and is
// not among the repository's tools.
func (g *guide) programs() string { return filepath.Join(g.dir, "programs") }

func (g *guide) write(name, text string) {
	g.stage.t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600); err != nil {
		g.stage.t.Fatal(err)
	}
}

// providers are the values that only the simulators need, as YAML of their own keys.
func (g *guide) providers() string {
	var b strings.Builder
	for key, value := range providerValues() {
		text, err := json.Marshal(value)
		if err != nil {
			g.stage.t.Fatal(err)
		}
		b.WriteString("\n" + key + ": " + string(text) + "\n")
	}
	return b.String()
}

var fence = regexp.MustCompile("(?ms)^( *)```([a-z]+)\n(.*?)^ *```")

// block returns the i-th block of a language below a heading, without its indentation.
func (g *guide) block(heading, language string, i int) string {
	g.stage.t.Helper()
	_, section, _ := strings.Cut(g.text, "\n## "+heading)
	section, _, _ = strings.Cut(section, "\n## ")
	for _, found := range fence.FindAllStringSubmatch(section, -1) {
		if found[2] != language {
			continue
		}
		if i == 0 {
			return strings.ReplaceAll("\n"+found[3], "\n"+found[1], "\n")[1:]
		}
		i--
	}
	g.stage.t.Fatalf("docs/install.md has no such block of %s below %q", language, heading)
	return ""
}

// run runs the commands of a block, one after the other in one shell's environment, and
// returns what they print. Of each pair the first is replaced by the second, which must
// change something: it is where the guide cannot know better.
func (g *guide) run(block string, pairs ...string) string {
	t := g.stage.t
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(block, pairs[i]) {
			t.Fatalf("docs/install.md does not say %q in:\n%s", pairs[i], block)
		}
		block = strings.ReplaceAll(block, pairs[i], pairs[i+1])
	}
	block = strings.ReplaceAll(block, "https://vault.example.com:8200", g.vault)
	var said strings.Builder
	for _, command := range strings.Split("\n"+block, "\n$ ")[1:] {
		said.WriteString(g.command(command))
	}
	return said.String()
}

var inPod = regexp.MustCompile(`^kubectl exec --namespace refresher (\S+) -- (.*?)(?: +#.*)?\n?$`)

func (g *guide) command(command string) string {
	t := g.stage.t
	t.Helper()
	if found := inPod.FindStringSubmatch(command); found != nil {
		return g.stage.exec(found[1], strings.Fields(found[2])...)
	}
	script := ". ./environment\n" + command + "\ndeclare -px >environment\n"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-eu", "-c", script)
	// What the shell has started must not outlive the limit.
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.Dir = g.dir
	if strings.HasPrefix(command, "read -rs VAULT_TOKEN ") {
		shell.Stdin = strings.NewReader(g.stage.vault.RootToken + "\n")
	}
	shell.Env = []string{"PATH=" + g.programs() + ":" + filepath.Join(repository(), "bin") + ":" + os.Getenv("PATH"), "HOME=" + g.dir, "KUBECONFIG=" + kube.kubeconfig}
	out, err := shell.CombinedOutput()
	if err != nil || strings.Contains(string(out), "Warning:") {
		t.Fatalf("docs/install.md: %s: %v\n%s", command, err, out)
	}
	return string(out)
}
