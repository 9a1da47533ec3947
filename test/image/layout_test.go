//go:build linux

package image

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// image is an image as an OCI layout holds it.
type image struct {
	// digest names the manifest, and by it every byte of the image.
	digest string
	arch   string
	os     string
	config imageConfig
	files  []file
	// root is a folder that the layers were unpacked into.
	root string
}

// imageConfig is what the image tells whoever runs it.
type imageConfig struct {
	User         string
	Env          []string
	Entrypoint   []string
	Cmd          []string
	Volumes      map[string]struct{}
	ExposedPorts map[string]struct{}
	Labels       map[string]string
	WorkingDir   string
}

// file is one entry of a layer.
type file struct {
	name     string
	mode     os.FileMode
	uid, gid int
	modified time.Time
}

// String shows what a person would want to compare.
func (f file) String() string { return fmt.Sprintf("%s %d:%d %s", f.mode, f.uid, f.gid, f.name) }

// readImage reads the one image of an OCI layout.
func readImage(t *testing.T, layout string) *image {
	t.Helper()
	type blob struct{ Digest string }
	var index struct{ Manifests []blob }
	readJSON(t, filepath.Join(layout, "index.json"), &index)
	if len(index.Manifests) != 1 {
		t.Fatalf("the layout has %d manifests", len(index.Manifests))
	}
	path := func(b blob) string { return filepath.Join(layout, "blobs", strings.Replace(b.Digest, ":", "/", 1)) }
	var manifest struct {
		Config blob
		Layers []blob
	}
	readJSON(t, path(index.Manifests[0]), &manifest)
	var config struct {
		Architecture, OS string
		Config           imageConfig
	}
	readJSON(t, path(manifest.Config), &config)

	i := &image{
		digest: index.Manifests[0].Digest, arch: config.Architecture, os: config.OS, config: config.Config,
		root: t.TempDir(),
	}
	for _, layer := range manifest.Layers {
		if err := i.unpack(path(layer)); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(i.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return i
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(content, v)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// unpack adds a layer to the root, with its modes and owners.
func (i *image) unpack(layer string) error {
	packed, err := os.Open(layer)
	if err != nil {
		return err
	}
	defer packed.Close()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		return fmt.Errorf("%s: %w", layer, err)
	}
	entries := tar.NewReader(plain)
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = i.add(header, entries)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", layer, err)
		}
	}
}

// add adds one entry. There must be none but files and folders: nothing here needs a
// link, a device, or a later layer that deletes.
func (i *image) add(header *tar.Header, content io.Reader) error {
	mode := header.FileInfo().Mode()
	path := filepath.Join(i.root, header.Name)
	switch {
	case !filepath.IsLocal(header.Name), strings.HasPrefix(filepath.Base(header.Name), ".wh."), !mode.IsDir() && !mode.IsRegular():
		return fmt.Errorf("an odd entry: %s %s", mode, header.Name)
	case mode.IsDir():
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	default:
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	i.files = append(i.files, file{
		name: strings.TrimSuffix(header.Name, "/"), mode: mode,
		uid: header.Uid, gid: header.Gid, modified: header.ModTime,
	})
	return errors.Join(os.Chown(path, header.Uid, header.Gid), os.Chmod(path, mode))
}
