package escrow

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// reserve keeps n bytes of the disk for f without changing its size, so that an
// empty room still looks empty.
func reserve(f *os.File, n int64) error {
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) { // tmpfs stops at any signal, and the runtime sends itself some
		err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, n)
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return fill(f, n)
	}
	if err != nil {
		return &os.PathError{Op: "reserve space in", Path: f.Name(), Err: err}
	}
	return nil
}
