package escrow

import (
	"os"
	"syscall"
	"testing"
	"time"

	"refresher/internal/credential"
)

// TestFilledRoom: where space can only be reserved by writing zeros, an empty
// room is still known as one, and an answer does not keep the zeros.
func TestFilledRoom(t *testing.T) {
	t.Parallel()
	const empty, answered = "emptyroom", "answered"
	dir := t.TempDir()
	s, err := openSpool(dir)
	noError(t, err)
	_, sealed := sealWith(t, []byte("answer"))
	for _, attempt := range []string{empty, answered} {
		f, err := s.room(attempt)
		noError(t, err)
		noError(t, fill(f, roomSize))
		info, err := f.Stat()
		noError(t, err)
		if info.Size() != roomSize {
			t.Fatalf("the room has %d bytes, want %d", info.Size(), roomSize)
		}
		if attempt == answered {
			ref := sealRef()
			ref.Attempt = attempt
			noError(t, s.keep(f, ref, sealed))
		}
		noError(t, f.Close())
	}
	info, err := os.Stat(s.path(answered))
	noError(t, err)
	if info.Size() != int64(len(sealed)) {
		t.Errorf("the answer takes %d bytes, want %d", info.Size(), len(sealed))
	}
	noError(t, s.close()) // a crash: no room is released

	s, err = openSpool(dir)
	noError(t, err)
	if _, err := os.Stat(s.path(empty)); !os.IsNotExist(err) {
		t.Errorf("the empty room is still there: %v", err)
	}
	noError(t, s.close())
}

// TestCloseFreesTheDirectoryAtOnce: a process that is being started has, for a
// moment, all open files of its parent.
func TestCloseFreesTheDirectoryAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := openSpool(dir)
	noError(t, err)
	inherited, err := syscall.Dup(int(s.lock.Fd()))
	noError(t, err)
	defer func() { noError(t, syscall.Close(inherited)) }()
	noError(t, s.close())
	s, err = openSpool(dir)
	noError(t, err)
	noError(t, s.close())
}

// TestWaitingInOrder: the oldest answer comes first, and of those that were sealed at once the
// credential decides, not the attempt, which is a random number.
func TestWaitingInOrder(t *testing.T) {
	t.Parallel()
	now := time.Now()
	answer := func(tenant, attempt string, at time.Time) onDisk {
		return onDisk{Ref{ID: credential.ID{Tenant: tenant, Name: "main"}, Attempt: attempt}, at}
	}
	want := []onDisk{
		answer("c", "55555555", now.Add(-time.Minute)),
		answer("a", "99999999", now), answer("b", "11111111", now), answer("b", "22222222", now),
	}
	s := &spool{sealed: map[string]onDisk{}}
	for _, each := range want {
		s.sealed[each.ref.Attempt] = each
	}
	got := s.waiting()
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i, ref := range got {
		if ref != want[i].ref {
			t.Errorf("place %d has %v, want %v", i, ref, want[i].ref)
		}
	}
}
