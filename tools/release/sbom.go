package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"io"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// sbom writes what is compiled into a program, as the Go tool recorded it there:
// the modules and Go's own library. It says nothing of what was not recorded, such
// as the licences of others.
func (r *release) sbom(w io.Writer, binary []byte) error {
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return err
	}
	hash := sha256.Sum256(binary)
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = serial(hash)
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: r.date.Format(time.RFC3339),
		Component: &cyclonedx.Component{
			Type: cyclonedx.ComponentTypeApplication, BOMRef: "refresher", Name: "refresher", Version: r.version,
			PackageURL: "pkg:generic/refresher@" + url.QueryEscape(r.version),
			Hashes:     &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: fmt.Sprintf("%x", hash)}},
			Licenses:   &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
		},
	}
	components := []cyclonedx.Component{library("stdlib", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, module := range info.Deps {
		components = append(components, component(module))
	}
	bom.Components = &components
	// 1.6, which scanners understand by now.
	return cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
}

// component describes a module, or what stands in its place.
func component(module *debug.Module) cyclonedx.Component {
	if module.Replace != nil {
		module = module.Replace
	}
	return library(module.Path, module.Version)
}

func library(name, version string) cyclonedx.Component {
	purl := "pkg:golang/" + name + "@" + url.QueryEscape(version)
	return cyclonedx.Component{
		Type: cyclonedx.ComponentTypeLibrary, BOMRef: purl, Name: name, Version: version, PackageURL: purl,
		Scope: cyclonedx.ScopeRequired,
	}
}

// serial names an SBOM after the program that it is of: a UUID of version 8, which
// RFC 9562 leaves to whoever makes it.
func serial(hash [sha256.Size]byte) string {
	id := hash[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
