package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xeipuuv/gojsonschema"
)

const (
	version = "v1.2.3-rc.1"
	commit  = "0123456789ab"
	date    = "2026-01-02T04:04:05+01:00"
	// tags are those of the Makefile, which decide on what is compiled in.
	tags = "timetzdata"
)

// build runs the command as the Makefile does, for some platforms, and reads what
// it leaves.
func build(t *testing.T, some []platform) map[string][]byte {
	t.Helper()
	helm, err := filepath.Abs("../../bin/helm")
	if err == nil {
		_, err = os.Stat(helm)
	}
	if err != nil {
		t.Fatalf("%v: run make tools-chart", err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	made, err := time.Parse(time.RFC3339, date)
	if err != nil {
		t.Fatal(err)
	}
	r := release{
		root: root, out: filepath.Join(t.TempDir(), "dist"), version: version, commit: commit, date: made.UTC(), platforms: some, helm: helm,
		buildFlags: []string{
			"-trimpath", "-buildvcs=false", "-tags=" + tags,
			"-ldflags=-s -w -X main.version=" + version + " -X main.commit=" + commit + " -X main.date=" + date,
		},
	}
	if err := r.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	return read(t, r.out)
}

func read(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestRelease(t *testing.T) {
	t.Parallel()
	files := build(t, platforms)
	want := []string{"SHA256SUMS", "refresher-1.2.3-rc.1.tgz"}
	for _, p := range platforms {
		name := "refresher_1.2.3-rc.1_" + p.os + "_" + p.arch
		want = append(want, name+".cdx.json", name+".tar.gz")
		t.Run(p.os+"/"+p.arch, func(t *testing.T) {
			t.Parallel()
			binary := checkArchive(t, name, files[name+".tar.gz"])
			checkProgram(t, p, binary)
			checkSBOM(t, p, binary, files[name+".cdx.json"])
		})
	}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("the release is %q, want %q", got, want)
	}
	checkSums(t, files)
	checkChart(t, files["refresher-1.2.3-rc.1.tgz"])

	t.Run("again", func(t *testing.T) {
		t.Parallel()
		for name, content := range build(t, platforms[:1]) {
			if name != "SHA256SUMS" && !bytes.Equal(content, files[name]) {
				t.Errorf("%s is another one when it is built again", name)
			}
		}
	})
}

func checkSums(t *testing.T, files map[string][]byte) {
	t.Helper()
	var want strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name != "SHA256SUMS" {
			hash := sha256.Sum256(files[name])
			want.WriteString(hex.EncodeToString(hash[:]) + "  " + name + "\n")
		}
	}
	if got := string(files["SHA256SUMS"]); got != want.String() {
		t.Errorf("SHA256SUMS:\n%s\nwant:\n%s", got, &want)
	}
}

// checkArchive returns the program in an archive.
func checkArchive(t *testing.T, name string, packed []byte) []byte {
	t.Helper()
	contents := map[string][]byte{}
	var list []string
	for header, content := range entries(t, packed) {
		base := strings.TrimPrefix(header.Name, name+"/")
		contents[base] = content
		list = append(list, fmt.Sprintf("%s %o %d:%d %s", base, header.Mode, header.Uid, header.Gid, header.ModTime.UTC().Format(time.RFC3339)))
	}
	const about = " 0:0 2026-01-02T03:04:05Z"
	want := []string{"refresher 755" + about}
	documents := inRepository(t)
	for _, document := range documents {
		want = append(want, document+" 644"+about)
	}
	if !slices.Equal(list, want) {
		t.Errorf("in the archive there is %q, want %q", list, want)
	}
	for _, document := range documents {
		text, err := os.ReadFile("../../" + document)
		if err != nil || !bytes.Equal(contents[document], text) {
			t.Errorf("%s in the archive is not ours (%v)", document, err)
		}
	}
	return contents["refresher"]
}

// inRepository lists the documents that belong into an archive, as git knows them, and
// those that it does not know yet: what is left out here is not looked for.
func inRepository(t *testing.T) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate",
		"CHANGELOG.md", "LICENSE", "README.md", "deploy/vault", "docs")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	return slices.Sorted(strings.FieldsSeq(string(out)))
}

// entries goes over the files of a compressed archive.
func entries(t *testing.T, packed []byte) func(func(*tar.Header, []byte) bool) {
	t.Helper()
	return func(yield func(*tar.Header, []byte) bool) {
		plain, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		for archive := tar.NewReader(plain); ; {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(header, content) {
				return
			}
		}
	}
}

func checkProgram(t *testing.T, p platform, binary []byte) {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	for key, want := range map[string]string{"GOOS": p.os, "GOARCH": p.arch, "CGO_ENABLED": "0", "-trimpath": "true", "-tags": tags} {
		if settings[key] != want {
			t.Errorf("built with %s=%s, want %s", key, settings[key], want)
		}
	}
	for _, text := range []string{version, commit, date} {
		if !bytes.Contains(binary, []byte(text)) {
			t.Errorf("the program does not know %s", text)
		}
	}
	if p.os != runtime.GOOS || p.arch != runtime.GOARCH {
		return
	}
	program := filepath.Join(t.TempDir(), "refresher")
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), program, "version").Output()
	want := fmt.Sprintf("refresher %s (%s) of %s, %s %s/%s\n", version, commit, date, runtime.Version(), p.os, p.arch)
	if err != nil || string(said) != want {
		t.Errorf("it says %q (%v), want %q", said, err, want)
	}
}

func checkSBOM(t *testing.T, p platform, binary, document []byte) {
	t.Helper()
	checkSchema(t, document)
	var bom struct {
		SpecVersion string
		Metadata    struct {
			Timestamp string
			Component struct {
				Name, Version string
				Hashes        []struct{ Alg, Content string }
			}
		}
		Components []struct{ Name, Version, Purl string }
	}
	if err := json.Unmarshal(document, &bom); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(binary)
	about := bom.Metadata.Component
	if bom.SpecVersion != "1.6" || bom.Metadata.Timestamp != "2026-01-02T03:04:05Z" || about.Name != "refresher" || about.Version != version ||
		len(about.Hashes) != 1 || about.Hashes[0].Alg != "SHA-256" || about.Hashes[0].Content != hex.EncodeToString(hash[:]) {
		t.Errorf("the SBOM is of %+v, made %s, %s", about, bom.Metadata.Timestamp, bom.SpecVersion)
	}
	var got []string
	for _, c := range bom.Components {
		got = append(got, c.Purl)
		if c.Purl != "pkg:golang/"+c.Name+"@"+strings.ReplaceAll(c.Version, "+", "%2B") {
			t.Errorf("%s %s is called %s", c.Name, c.Version, c.Purl)
		}
	}
	slices.Sort(got)
	if want := modules(t, p); !slices.Equal(got, want) {
		t.Errorf("the SBOM lists\n%q, the program is made of\n%q", got, want)
	}
}

// modules asks the Go tool for what the program is made of, by another way than by
// the finished program.
func modules(t *testing.T, p platform) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags="+tags,
		"-f", "{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}}{{end}}{{end}}", "./cmd/refresher")
	list.Dir, list.Env = "../..", append(os.Environ(), "GOOS="+p.os, "GOARCH="+p.arch, "CGO_ENABLED=0")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	purls := []string{"pkg:golang/stdlib@" + strings.TrimPrefix(runtime.Version(), "go")}
	for module := range strings.FieldsSeq(string(out)) {
		purls = append(purls, "pkg:golang/"+strings.ReplaceAll(module, "+", "%2B"))
	}
	slices.Sort(purls)
	return slices.Compact(purls)
}

// checkSchema holds an SBOM against CycloneDX's own schema.
func checkSchema(t *testing.T, document []byte) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	schema := func(name string) gojsonschema.JSONLoader {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "schema", name))
		if err != nil {
			t.Fatal(err)
		}
		return gojsonschema.NewBytesLoader(content)
	}
	all := gojsonschema.NewSchemaLoader()
	if err := all.AddSchemas(schema("spdx.schema.json"), schema("jsf-0.82.schemax.json")); err != nil {
		t.Fatal(err)
	}
	compiled, err := all.Compile(schema("bom-1.6.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	result, err := compiled.Validate(gojsonschema.NewBytesLoader(document))
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range result.Errors() {
		t.Errorf("the SBOM is not valid: %s", wrong)
	}
}

// checkChart wants the release's version in the chart, and nobody's clock.
func checkChart(t *testing.T, packed []byte) {
	t.Helper()
	var chart string
	for header, content := range entries(t, packed) {
		if header.Name == "refresher/Chart.yaml" {
			chart = string(content)
		}
		if want := "2026-01-02T03:04:05Z"; header.ModTime.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s is of %s, want %s", header.Name, header.ModTime, want)
		}
	}
	for _, line := range []string{"version: 1.2.3-rc.1\n", "appVersion: 1.2.3-rc.1\n"} {
		if !strings.Contains("\n"+chart, "\n"+line) {
			t.Errorf("Chart.yaml has no line %q:\n%s", line, chart)
		}
	}
}

func TestCheckVersion(t *testing.T) {
	t.Parallel()
	for version, good := range map[string]bool{
		"v1.2.3": true, "v0.1.0": true, "v1.2.3-rc.1": true, "v0.1.0-3-g0123456789ab": true,
		"": false, "dev": false, "1.2.3": false, "v1.2": false, "v01.2.3": false, "v1.2.3+5": false,
		"v1.2.3-dirty": false, "v1.2.3-1-g0123456-dirty": false, "v1.2.3\n": false, "v1.2.3-..": false,
	} {
		if err := checkVersion(version); (err == nil) != good {
			t.Errorf("%q: %v, good is %t", version, err, good)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	there := t.TempDir()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no version":    {[]string{"-date", date, "-commit", commit}, "is no version"},
		"no commit":     {[]string{"-version", version, "-date", date}, "the commit is not known"},
		"dirty tree":    {[]string{"-version", version, "-date", date, "-commit", commit + "-dirty"}, "changes that are not committed"},
		"no date":       {[]string{"-version", version, "-commit", commit}, "the commit's date"},
		"folder exists": {[]string{"-version", version, "-date", date, "-commit", commit, "-out", there}, "is there already"},
		"no such flag":  {[]string{"-sign"}, "not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := run(t.Context(), test.args, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it says %v, want %q", err, test.want)
			}
		})
	}
}
