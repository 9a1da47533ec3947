package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// documents go into every archive, beside the program: files, and folders with all that
// is in them. The README leads to these.
var documents = []string{"CHANGELOG.md", "LICENSE", "README.md", "deploy/vault", "docs"}

// program builds the program for a platform, its archive and its SBOM.
func (r *release) program(ctx context.Context, work string, p platform) error {
	name := fmt.Sprintf("refresher_%s_%s_%s", r.number(), p.os, p.arch)
	binary := filepath.Join(work, name)
	build := exec.CommandContext(ctx, "go", append(append([]string{"build"}, r.buildFlags...), "-o", binary, "./cmd/refresher")...) //nolint:gosec // the Makefile gives the flags
	build.Dir = r.root
	// What somebody has set for their own builds must not get into this one.
	build.Env = append(os.Environ(), "GOOS="+p.os, "GOARCH="+p.arch, "CGO_ENABLED=0",
		"GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOAMD64=v1", "GOARM64=v8.0")
	if err := runQuietly(build); err != nil {
		return err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	entries := []entry{{name: name + "/refresher", mode: 0o755, content: content}}
	for _, document := range documents {
		if entries, err = r.addDocuments(entries, name, document); err != nil {
			return err
		}
	}
	if err := r.write(name+".tar.gz", func(b *bytes.Buffer) error { return pack(b, entries, r.date) }); err != nil {
		return err
	}
	return r.write(name+".cdx.json", func(b *bytes.Buffer) error { return r.sbom(b, content) })
}

// addDocuments adds a file, or all files of a folder in the order of their names.
func (r *release) addDocuments(entries []entry, name, document string) ([]entry, error) {
	err := filepath.WalkDir(filepath.Join(r.root, document), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // it is in the repository
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(r.root, path)
		if err != nil {
			return err
		}
		entries = append(entries, entry{name: name + "/" + filepath.ToSlash(inside), mode: 0o644, content: text})
		return nil
	})
	return entries, err
}

// chart packages the chart. Helm notes the time of day in what it packs, so that
// it is packed once more.
func (r *release) chart(ctx context.Context, work string) error {
	dir := filepath.Join(work, "chart")
	if err := runQuietly(exec.CommandContext(ctx, r.helm, "package", filepath.Join(r.root, "charts", "refresher"), //nolint:gosec // the Makefile names it
		"--version", r.number(), "--app-version", r.number(), "--destination", dir)); err != nil {
		return err
	}
	name := "refresher-" + r.number() + ".tgz"
	packed, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer func() { _ = packed.Close() }()
	entries, err := unpack(packed)
	if err != nil {
		return err
	}
	return r.write(name, func(b *bytes.Buffer) error { return pack(b, entries, r.date) })
}

// write writes a file of the release.
func (r *release) write(name string, fill func(*bytes.Buffer) error) error {
	var content bytes.Buffer
	if err := fill(&content); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(filepath.Join(r.out, name), content.Bytes(), 0o644) //nolint:gosec // a release is for everybody
}

// writeSums writes the checksums of all files in a folder.
func writeSums(dir string) error {
	files, err := os.ReadDir(dir) // in the order of their names
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), file.Name())
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), sums.Bytes(), 0o644) //nolint:gosec // a release is for everybody
}

// runQuietly runs a program and shows what it printed only if it fails.
func runQuietly(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out)
	}
	return nil
}
