// Command release builds what a release of Refresher consists of, into a new folder:
//
//	refresher_1.2.3_linux_amd64.tar.gz    the program for a platform, README, changelog, licence, docs and policies
//	refresher_1.2.3_linux_amd64.cdx.json  what is compiled into that program: a CycloneDX SBOM
//	refresher-1.2.3.tgz                   the Helm chart
//	SHA256SUMS                            of all of them, for sha256sum -c
//
// All of it is the same to the last bit wherever and whenever it is built from the
// same commit with the same Go. `make release` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// platforms are what archives are built for.
var platforms = []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}

// platform is an operating system and an architecture, as Go names them.
type platform struct{ os, arch string }

// release is one release to be built.
type release struct {
	// root is the top of the repository, out the folder to make and to build into.
	root, out string
	// version is a tag such as v1.2.3, commit what it stands at.
	version, commit string
	// date is the commit's: it is given to every file.
	date      time.Time
	platforms []platform
	// buildFlags are for go build.
	buildFlags []string
	// helm is the program, as an absolute path.
	helm string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", "../..", "top of the repository")
	out := flags.String("out", "../../dist", "folder to make and to build into")
	version := flags.String("version", "", "the tag, such as v1.2.3")
	commit := flags.String("commit", "", "the commit, with -dirty behind it if the tree has changes")
	date := flags.String("date", "", "the commit's date, RFC 3339")
	helm := flags.String("helm", "../../bin/helm", "the program helm")
	if err := flags.Parse(args); err != nil {
		return err
	}
	made, err := time.Parse(time.RFC3339, *date)
	if err != nil {
		return fmt.Errorf("the commit's date: %w", err)
	}
	r := release{version: *version, commit: *commit, date: made.UTC(), platforms: platforms, buildFlags: flags.Args()}
	for path, text := range map[*string]string{&r.root: *root, &r.out: *out, &r.helm: *helm} {
		if *path, err = filepath.Abs(text); err != nil {
			return err
		}
	}
	return r.build(ctx)
}

// tag is a version of Semantic Versioning without build metadata, which tags of
// images cannot have.
var tag = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

// check refuses what could not be built again from a tag. A version that somebody gave
// says nothing of the tree; the commit does.
func (r *release) check() error {
	switch {
	case r.commit == "":
		return errors.New("the commit is not known: build a release in a clone of the repository")
	case strings.HasSuffix(r.commit, "-dirty"):
		return fmt.Errorf("%s: the tree has changes that are not committed", r.commit)
	default:
		return checkVersion(r.version)
	}
}

// checkVersion refuses what is no tag.
func checkVersion(version string) error {
	switch {
	case strings.HasSuffix(version, "-dirty"):
		return fmt.Errorf("%s: the tree has changes that are not committed", version)
	case !tag.MatchString(version):
		return fmt.Errorf("%q is no version: tag the commit as v1.2.3 first, or give VERSION=v1.2.3", version)
	default:
		return nil
	}
}

// number is the version as charts, images and file names have it.
func (r *release) number() string { return strings.TrimPrefix(r.version, "v") }

// build builds everything. What is left after an error is of no use.
func (r *release) build(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	err := os.Mkdir(r.out, 0o755) //nolint:gosec // a release is for everybody
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already: delete it first", r.out)
	}
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "refresher-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	for _, p := range r.platforms {
		if err := r.program(ctx, work, p); err != nil {
			return fmt.Errorf("%s/%s: %w", p.os, p.arch, err)
		}
	}
	if err := r.chart(ctx, work); err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	return writeSums(r.out)
}
