//go:build !linux

package escrow

import "os"

// reserve keeps n bytes of the disk for f.
func reserve(f *os.File, n int64) error { return fill(f, n) }
