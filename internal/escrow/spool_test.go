package escrow_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
)

func TestOwner(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	owner := r.Owner()
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(owner) {
		t.Fatalf("owner %q", owner)
	}
	r.reopen(t)
	equal(t, "owner after a restart", r.Owner(), owner)
	if other := newRig(t).Owner(); other == owner {
		t.Error("another directory has the same owner")
	}

	must(t, r.Close())
	for _, garbage := range []string{"", "short\n", "../../etc/passwd\n"} {
		write(t, filepath.Join(r.dir, "owner"), []byte(garbage))
		r.open(t)
		if r.Owner() == owner || r.Owner() == strings.TrimSpace(garbage) {
			t.Errorf("owner %q from a file that holds %q", r.Owner(), garbage)
		}
		must(t, r.Close())
	}
	r.open(t)
}

func TestSpoolInUse(t *testing.T) {
	t.Parallel()
	inUse := func(t *testing.T, text string, dir string) {
		t.Helper()
		for _, part := range []string{escrow.ErrSpoolInUse.Error(), dir, "escrow.dir"} {
			if !strings.Contains(text, part) {
				t.Errorf("the error %q does not say %q", text, part)
			}
		}
	}
	t.Run("by this process", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		_, err := escrow.Open(escrow.Settings{Dir: r.dir, Keep: keep, Keys: r.keys})
		if !errors.Is(err, escrow.ErrSpoolInUse) {
			t.Fatalf("got %v, want ErrSpoolInUse", err)
		}
		inUse(t, err.Error(), r.dir)
		out, err := child(t, "open", r.dir).Output()
		if err == nil {
			t.Fatal("another process opened the spool")
		}
		inUse(t, string(out), r.dir)
		r.reopen(t)
	})
	t.Run("by another process that is killed", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		other := holding(t, dir)
		r := &rig{dir: dir, keys: &keys{}}
		_, err := escrow.Open(escrow.Settings{Dir: dir, Keep: keep, Keys: r.keys})
		if !errors.Is(err, escrow.ErrSpoolInUse) {
			t.Fatalf("got %v, want ErrSpoolInUse", err)
		}
		must(t, other.Process.Kill())
		_ = other.Wait()
		r.open(t)
		equalAll(t, "answers", r.files(t, "answers"), []string{ref(1).Attempt})
		equalAll(t, "waiting", r.Waiting(), []escrow.Ref{ref(1)})
	})
	t.Run("no more", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		must(t, r.Close())
		if out, err := child(t, "open", r.dir).Output(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})
}

// TestOpenTakesStock: what Open does about what it finds among the answers.
func TestOpenTakesStock(t *testing.T) {
	t.Parallel()
	own := ref(1)
	const (
		gone    = "gone"
		waiting = "waiting"
		aside   = "aside"
		alone   = "left alone"
	)
	head := func(sealed []byte) []byte { return sealed[:bytes.IndexByte(sealed, '\n')+1] }
	for name, test := range map[string]struct {
		name string
		data func(sealed []byte) []byte
		want string
	}{
		"an empty room":           {own.Attempt, func([]byte) []byte { return nil }, gone},
		"a room filled with zero": {own.Attempt, func([]byte) []byte { return make([]byte, 1<<20) }, gone},
		"an answer":               {own.Attempt, bytes.Clone, waiting},
		"an answer in a room filled with zeros": {
			own.Attempt, func(s []byte) []byte { return append(s, make([]byte, 1<<20)...) }, waiting,
		},
		"half a head":             {own.Attempt, func(s []byte) []byte { return s[:20] }, aside},
		"a head without an end":   {own.Attempt, func(s []byte) []byte { return bytes.TrimSpace(head(s)) }, aside},
		"a head alone":            {own.Attempt, head, aside},
		"one byte short":          {own.Attempt, func(s []byte) []byte { return s[:len(s)-1] }, aside},
		"text":                    {own.Attempt, func([]byte) []byte { return []byte("hello\nworld\n") }, aside},
		"another attempt's":       {ref(2).Attempt, bytes.Clone, aside},
		"a later format":          {own.Attempt, func(s []byte) []byte { return bytes.Replace(s, []byte(`"v":1`), []byte(`"v":2`), 1) }, waiting},
		"a tenant that is a path": {own.Attempt, func(s []byte) []byte { return bytes.Replace(s, []byte(`"acme"`), []byte(`"../."`), 1) }, aside},
		"a note of a person's":    {"READ.ME", func([]byte) []byte { return []byte("do not delete") }, alone},
		"an editor's hidden file": {".swp", func([]byte) []byte { return nil }, alone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			sealed(t, r.Escrow, own, "answer")
			data := test.data(read(t, r.answerFile(own)))
			must(t, os.Remove(r.answerFile(own)))
			path := filepath.Join(r.dir, "answers", test.name)
			write(t, path, data)
			r.reopen(t)

			var answers, set, told []string
			var left []escrow.Ref
			switch test.want {
			case waiting:
				answers, left = []string{test.name}, []escrow.Ref{own}
			case aside:
				set, told = []string{test.name}, []string{"sealed answer on disk"}
			case alone:
				answers = []string{test.name}
			}
			equalAll(t, "answers", r.files(t, "answers"), answers)
			equalAll(t, "aside", r.files(t, "aside"), set)
			equalAll(t, "waiting", r.Waiting(), left)
			equalAll(t, "told", r.told(), told)
			if test.want == aside && !bytes.Equal(read(t, filepath.Join(r.dir, "aside", test.name)), data) {
				t.Error("what was set aside is not what was there")
			}
		})
	}
}

// TestOpenLeavesStrangersAlone: a folder or a link among the answers is not ours.
func TestOpenLeavesStrangersAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, nil)
	must(t, os.Mkdir(filepath.Join(r.dir, "answers", "lostandfound"), 0o700))
	must(t, os.Symlink(secret, filepath.Join(r.dir, "answers", "symboliclink")))
	r.reopen(t)
	equalAll(t, "answers", r.files(t, "answers"), []string{"lostandfound", "symboliclink"})
	equal(t, "waiting", len(r.Waiting()), 0)
	sealed(t, r.Escrow, ref(1), "answer")
	reads(t, r.Escrow, ref(1), "answer")
}

func TestHeldUntilRelease(t *testing.T) {
	t.Parallel()
	for name, answered := range map[string]bool{"with an answer": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			equal(t, "held before", r.Held(ref(1).Attempt), false)
			slot := room(t, r.Escrow, ref(1))
			equal(t, "held", r.Held(ref(1).Attempt), true)
			equal(t, "another held", r.Held(ref(2).Attempt), false)
			want := []escrow.Ref(nil)
			if answered {
				must(t, slot.Seal(t.Context(), []byte("answer")))
				want = []escrow.Ref{ref(1)}
			}
			equal(t, "held", r.Held(ref(1).Attempt), true)
			equal(t, "waiting", len(r.Waiting()), 0)
			slot.Release()
			slot.Release() // does nothing more
			equal(t, "held after", r.Held(ref(1).Attempt), false)
			equalAll(t, "waiting", r.Waiting(), want)
			equal(t, "files", len(r.files(t, "answers")), len(want))
			r.reopen(t)
			equalAll(t, "waiting after a restart", r.Waiting(), want)
		})
	}
}

func TestRoom(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		attempt string
		spoil   func(t *testing.T, r *rig)
		says    string
	}{
		"no attempt":            {"", nil, "no attempt"},
		"a path":                {"../../etc/passwd", nil, "no attempt"},
		"a place that is taken": {"attempt1", func(t *testing.T, r *rig) { t.Helper(); write(t, r.answerFile(ref(1)), nil) }, "file exists"},
		"a folder that is no more": {"attempt1", func(t *testing.T, r *rig) {
			t.Helper()
			must(t, os.Remove(filepath.Join(r.dir, "answers")))
		}, "escrow.dir"},
		"no key": {"attempt1", func(_ *testing.T, r *rig) {
			r.keys.set(func(k *keys) { k.listErr = errDown })
		}, "read the escrow keys: " + errDown.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if test.spoil != nil {
				test.spoil(t, r)
			}
			ref := ref(1)
			ref.Attempt = test.attempt
			_, err := r.Room(t.Context(), ref, escrow.Lineage{})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error that says %q", err, test.says)
			}
			equal(t, "held", r.Held(test.attempt), false)
		})
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sealed(t, r.Escrow, ref(1), "answer")
	sealed(t, r.Escrow, ref(2), "another")
	for range 2 { // a second time does nothing
		must(t, r.Delete(t.Context(), ref(1)))
		reads(t, r.Escrow, ref(1), "")
		equal(t, "copy", r.copies.has(ref(1).Attempt), false)
		equalAll(t, "waiting", r.Waiting(), []escrow.Ref{ref(2)})
	}

	r.copies.set(func(c *copies) { c.down = errDown })
	must(t, r.Delete(t.Context(), ref(2)))
	equalAll(t, "told", r.told(), []string{"sealed copy in redis"})
	equal(t, "files", len(r.files(t, "answers")), 0)
	r.reopen(t)
	equal(t, "waiting after a restart", len(r.Waiting()), 0)
}

// TestDeleteByHand: a file that somebody took away does not wait for ever.
func TestDeleteByHand(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sealed(t, r.Escrow, ref(1), "answer")
	must(t, os.Remove(r.answerFile(ref(1))))
	reads(t, r.Escrow, ref(1), "answer") // the copy
	equal(t, "waiting", len(r.Waiting()), 0)
}

func TestSetAside(t *testing.T) {
	t.Parallel()
	onDisk := func(t *testing.T, r *rig) {
		t.Helper()
		sealed(t, r.Escrow, ref(1), "answer")
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, r *rig)
		want    []string // in the folder aside
		copied  bool     // the copy is still in Redis
		err     error
	}{
		"nothing": {func(*testing.T, *rig) {}, nil, false, nil},
		"both":    {onDisk, []string{"attempt1"}, false, nil},
		"disk alone": {func(t *testing.T, r *rig) {
			t.Helper()
			onDisk(t, r)
			r.copies.set(func(c *copies) { clear(c.data) })
		}, []string{"attempt1"}, false, nil},
		"redis alone": {func(t *testing.T, r *rig) {
			t.Helper()
			onDisk(t, r)
			must(t, os.Remove(r.answerFile(ref(1))))
			r.reopen(t)
		}, []string{"attempt1"}, false, nil},
		"each something else": {func(t *testing.T, r *rig) {
			t.Helper()
			onDisk(t, r)
			r.copies.set(func(c *copies) { c.data["attempt1"] = []byte("x") })
		}, []string{"attempt1", "attempt1.2"}, false, nil},
		"a torn one is there already": {func(t *testing.T, r *rig) {
			t.Helper()
			onDisk(t, r)
			must(t, os.Truncate(r.answerFile(ref(1)), 10))
			r.reopen(t)
		}, []string{"attempt1", "attempt1.2"}, false, nil},
		"disk, and redis is down": {func(t *testing.T, r *rig) {
			t.Helper()
			onDisk(t, r)
			r.copies.set(func(c *copies) { c.down = errDown })
		}, []string{"attempt1"}, true, nil},
		"redis is down": {func(t *testing.T, r *rig) {
			t.Helper()
			onDisk(t, r)
			must(t, os.Remove(r.answerFile(ref(1))))
			r.reopen(t)
			r.copies.set(func(c *copies) { c.down = errDown })
		}, nil, true, errDown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.prepare(t, r)
			if err := r.SetAside(t.Context(), ref(1)); !errors.Is(err, test.err) {
				t.Errorf("got %v, want %v", err, test.err)
			}
			equalAll(t, "aside", r.files(t, "aside"), test.want)
			equal(t, "answers", len(r.files(t, "answers")), 0)
			equal(t, "waiting", len(r.Waiting()), 0)
			equal(t, "copied", r.copies.has(ref(1).Attempt), test.copied)
			r.reopen(t)
			equal(t, "waiting after a restart", len(r.Waiting()), 0)
		})
	}
}

// TestSetAsideCanBePutBack: a person moves the file back, and the next start
// finds it.
func TestSetAsideCanBePutBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sealed(t, r.Escrow, ref(1), "answer")
	must(t, r.SetAside(t.Context(), ref(1)))
	reads(t, r.Escrow, ref(1), "")
	must(t, os.Rename(filepath.Join(r.dir, "aside", ref(1).Attempt), r.answerFile(ref(1))))
	r.reopen(t)
	equalAll(t, "waiting", r.Waiting(), []escrow.Ref{ref(1)})
	reads(t, r.Escrow, ref(1), "answer")
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	r := &rig{dir: filepath.Join(t.TempDir(), "new", "spool"), keys: &keys{}, copies: newCopies()}
	r.open(t)
	sealed(t, r.Escrow, ref(1), "answer")
	sealed(t, r.Escrow, ref(2), "answer")
	must(t, r.SetAside(t.Context(), ref(2)))
	slot := room(t, r.Escrow, ref(3))
	defer slot.Release()
	must(t, r.Present(t.Context(), credential.Secret("token").Hash(), false))

	var seen []string
	must(t, filepath.WalkDir(r.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = fs.ModeDir | 0o700
		}
		equal(t, path, info.Mode(), want)
		name, err := filepath.Rel(r.dir, path)
		seen = append(seen, name)
		return err
	}))
	slices.Sort(seen)
	equalAll(t, "files", seen, []string{
		".", "answers", "answers/attempt1", "answers/attempt3", "aside", "aside/attempt2", "kept", "lock", "owner", "spent",
	})
}

// TestStanding: an answer counts from its sealing until it is cleared, whoever works on it.
func TestStanding(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	standing := func(what string, want int) {
		t.Helper()
		n, oldest := r.Standing()
		equal(t, what, n, want)
		equal(t, what+", with an age", !oldest.IsZero() && time.Since(oldest) < time.Minute, want > 0)
	}
	standing("at first", 0)
	slot, err := r.Room(t.Context(), ref(1), escrow.Lineage{})
	must(t, err)
	standing("with room made", 0)
	must(t, slot.Seal(t.Context(), []byte("answer")))
	standing("sealed, and worked on", 1)
	slot.Release()
	standing("sealed", 1)
	r.reopen(t)
	standing("after a restart", 1)
	must(t, r.Delete(t.Context(), ref(1)))
	standing("cleared", 0)
}

func TestDiskOf(t *testing.T) {
	t.Parallel()
	disk, err := escrow.DiskOf(t.TempDir())
	must(t, err)
	if disk.FreeBytes == 0 || disk.SizeBytes < disk.FreeBytes || disk.FreeFiles == 0 {
		t.Errorf("%+v", disk)
	}
	_, err = escrow.DiskOf(filepath.Join(t.TempDir(), "missing"))
	equal(t, "not there", errors.Is(err, fs.ErrNotExist), true)
}
