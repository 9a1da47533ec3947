package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"
)

// entry is a file in an archive.
type entry struct {
	name    string
	mode    int64
	content []byte
}

// pack writes a compressed archive in which there is nothing of the machine that
// made it: no owner but root, and no time but the given one.
func pack(w io.Writer, entries []entry, date time.Time) error {
	packer := gzip.NewWriter(w)
	archive := tar.NewWriter(packer)
	for _, e := range entries {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, Size: int64(len(e.content)),
			ModTime: date, Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		if _, err := archive.Write(e.content); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return errors.Join(archive.Close(), packer.Close())
}

// unpack reads a compressed archive of files.
func unpack(r io.Reader) ([]entry, error) {
	packed, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for archive := tar.NewReader(packed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", header.Name, err)
		}
		entries = append(entries, entry{name: header.Name, mode: header.Mode, content: content})
	}
}
