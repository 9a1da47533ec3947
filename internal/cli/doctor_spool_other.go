//go:build !linux

package cli

import "os"

// mayWrite goes by the directory's permissions.
func mayWrite(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir() && info.Mode().Perm()&0o222 != 0
}

// lockHolder does not know on this system.
func lockHolder(string) (pid int, known bool) { return 0, false }
