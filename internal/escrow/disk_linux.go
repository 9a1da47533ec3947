package escrow

import (
	"os"

	"golang.org/x/sys/unix"
)

// DiskOf asks about the file system that a directory is on.
func DiskOf(dir string) (Disk, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return Disk{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	block := uint64(s.Bsize)
	d := Disk{FreeBytes: s.Bavail * block, SizeBytes: s.Blocks * block, FreeFiles: s.Ffree}
	if s.Files == 0 {
		d.FreeFiles = 1 << 31 // a file system that does not count them, such as btrfs
	}
	switch s.Type {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		d.Volatile = "in memory (tmpfs)"
	case unix.OVERLAYFS_SUPER_MAGIC:
		d.Volatile = "on a container's own layer (overlayfs)"
	}
	return d, nil
}
