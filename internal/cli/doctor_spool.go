package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"refresher/internal/escrow"
)

// answerRoom is the space that one answer needs in the spool.
const answerRoom = 1<<20 + 64<<10

// examineSpool looks at the spool directory. It neither takes the lock nor makes
// an identity: a service that starts at this moment must not find it taken.
func (d *doctor) examineSpool() {
	dir := d.config.Escrow.Dir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.missingSpool(dir)
		return
	case err != nil:
		d.fail("spool", setDir, "%s", err)
		return
	case !info.IsDir():
		d.fail("spool", setDir, "%s is no directory", dir)
		return
	}
	if err := tryDisk(dir); err != nil {
		d.fail("spool", setDir, "%s cannot be written: %s", dir, err)
		return
	}
	d.ok("spool", "%s can be written, and what is written reaches the disk", dir)
	if info.Mode().Perm()&0o022 != 0 {
		d.warning("spool", "chmod go-w "+dir, "others may write to %s", dir)
	}
	d.examineDisk(dir)
	d.examineLock(dir)
}

const setDir = "set REFRESHER_ESCROW_DIR (escrow.dir) to a directory that the service's user may write to, on a disk that outlives the process"

// missingSpool judges a directory that is not there: the service makes it if it can.
func (d *doctor) missingSpool(dir string) {
	parent := filepath.Dir(dir)
	for {
		if _, err := os.Stat(parent); !errors.Is(err, fs.ErrNotExist) || parent == filepath.Dir(parent) {
			break
		}
		parent = filepath.Dir(parent)
	}
	if !mayWrite(parent) {
		d.fail("spool", setDir, "%s does not exist, and this user cannot make it below %s", dir, parent)
		return
	}
	d.ok("spool", "%s does not exist yet; the service makes it", dir)
	d.examineDisk(parent)
}

// tryDisk writes a file as the service would, and removes it.
func tryDisk(dir string) (err error) {
	f, err := os.CreateTemp(dir, "doctor-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.WriteString("written by refresher doctor\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func (d *doctor) examineDisk(dir string) {
	space, err := escrow.DiskOf(dir)
	if err != nil {
		d.warning("spool", "", "the free space is not known: %s", err)
		return
	}
	d.judgeDisk(dir, space)
}

// judgeDisk wants room for one answer of each worker.
func (d *doctor) judgeDisk(dir string, space escrow.Disk) {
	if space.Volatile != "" {
		d.warning("spool", "use a disk or a volume of its own (escrow.dir): an answer that was not committed yet would be lost", "%s is %s", dir, space.Volatile)
	}
	workers := uint64(d.config.Scheduler.Workers)
	free := fmt.Sprintf("%d MiB free", space.FreeBytes>>20)
	if space.FreeFiles < workers {
		free += fmt.Sprintf(", room for %d more files", space.FreeFiles)
	}
	switch {
	case space.FreeBytes < answerRoom || space.FreeFiles < 1:
		d.fail("spool", "make room: without it no refresh token is presented", "the disk is full (%s)", free)
	case space.FreeBytes < workers*answerRoom || space.FreeFiles < workers:
		d.warning("spool", "make room, or lower scheduler.workers", "%s: too little for %d answers at once", free, workers)
	default:
		d.ok("spool", "%s", free)
	}
}

// examineLock says who works on the directory, and what waits in it.
func (d *doctor) examineLock(dir string) {
	pid, known := lockHolder(filepath.Join(dir, "lock"))
	switch {
	case pid > 0:
		d.ok("spool", "a service runs on it (process %d)", pid)
	case !known:
		d.ok("spool", "whether a service runs on it cannot be seen here")
	default:
		d.ok("spool", "no service that can be seen from here runs on it")
	}
	if n := filesIn(filepath.Join(dir, "answers")); n > 0 && pid == 0 {
		d.warning("spool", "start the service on this directory: it commits them at its start",
			"%s not in Vault yet, and nobody works on it", count(n, "answer"))
	}
	if n := filesIn(filepath.Join(dir, "aside")); n > 0 {
		d.warning("spool", "look into the log for why, and delete them when they are of no use any more",
			"%s set aside: they no longer fitted, or could not be read", count(n, "answer"))
	}
}

func filesIn(dir string) int {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	return len(entries)
}
