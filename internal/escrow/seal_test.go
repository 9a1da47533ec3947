package escrow_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/internal/redistest"
)

// largest is the largest answer that the protocol seals: 1 MiB of body and a head.
const largest = 1<<20 + 4<<10

func TestSealedAnswers(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"a byte": 1, "usual": 400, "the largest": largest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := strings.Repeat("a", size)
			r := newRig(t)
			sealed(t, r.Escrow, ref(1), answer)
			equal(t, "the two copies are the same", bytes.Equal(read(t, r.answerFile(ref(1))), r.copies.data["attempt1"]), true)
			reads(t, r.Escrow, ref(1), answer)
			r.reopen(t)
			reads(t, r.Escrow, ref(1), answer)

			other := &rig{dir: t.TempDir(), keys: r.keys, copies: r.copies}
			other.open(t)
			reads(t, other.Escrow, ref(1), answer)
		})
	}
}

// TestSealOrder: when Redis is told, the answer is on disk and whole.
func TestSealOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var onDisk, inRedis []byte
	r.copies.onPut = func(sealed []byte) { onDisk, inRedis = read(t, r.answerFile(ref(1))), sealed }
	sealed(t, r.Escrow, ref(1), "answer")
	if len(inRedis) == 0 || !bytes.Equal(onDisk, inRedis) {
		t.Errorf("the disk held %q when Redis was given %q", onDisk, inRedis)
	}
}

// TestSealNeedsNoVault: between the answer and the disk nobody is asked.
func TestSealNeedsNoVault(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	slot := room(t, r.Escrow, ref(1))
	defer slot.Release()
	before := r.keys.requests()
	must(t, slot.Seal(t.Context(), []byte("answer")))
	equal(t, "requests to Vault", r.keys.requests()-before, 0)
}

func TestSealFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		diskFails, redisFails, noRedis bool
		ok                             bool
		told                           []string
	}{
		"none":                          {ok: true},
		"redis":                         {redisFails: true, ok: true, told: []string{"sealed copy in redis"}},
		"disk":                          {diskFails: true, ok: true, told: []string{"sealed answer on disk"}},
		"both":                          {diskFails: true, redisFails: true, told: []string{"sealed copy in redis"}},
		"none, where there is no redis": {noRedis: true, ok: true},
		"disk, where there is no redis": {noRedis: true, diskFails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &rig{dir: t.TempDir(), keys: &keys{}}
			if !test.noRedis {
				r.copies = newCopies()
				if test.redisFails {
					r.copies.down = errDown
				}
			}
			r.open(t)
			slot := room(t, r.Escrow, ref(1))
			if test.diskFails {
				readOnly, err := os.Open(r.answerFile(ref(1)))
				must(t, err)
				slot.ReplaceFile(readOnly)
			}
			err := slot.Seal(t.Context(), []byte("answer"))
			equal(t, "sealed", err == nil, test.ok)
			equal(t, "names redis", errors.Is(err, errDown), test.diskFails && test.redisFails)
			equalAll(t, "told", r.told(), test.told)
			slot.Release()

			want := []string(nil)
			if !test.diskFails {
				want = []string{"attempt1"}
			}
			equalAll(t, "answers", r.files(t, "answers"), want)
			equal(t, "waiting", len(r.Waiting()), len(want))
			if test.ok {
				reads(t, r.Escrow, ref(1), "answer")
			}
		})
	}
}

// TestRead: from which place an answer comes, and what it means if it does not.
func TestRead(t *testing.T) {
	t.Parallel()
	damage := func(data []byte) []byte {
		data = bytes.Clone(data)
		data[len(data)-1] ^= 1
		return data
	}
	unreadable, unread := escrow.ErrUnreadable, escrow.ErrCopiesUnread
	for name, test := range map[string]struct {
		disk, redis string // "good", "damaged", "gone"; for the disk "no file", for redis "down"
		answer      string
		err         error // nil with answer "": there is none
		vague       bool  // the error is neither ErrUnreadable nor ErrCopiesUnread
	}{
		"both good":                 {disk: "good", redis: "good", answer: "answer"},
		"redis is down":             {disk: "good", redis: "down", answer: "answer"},
		"redis lost it":             {disk: "good", redis: "gone", answer: "answer"},
		"redis alone":               {disk: "gone", redis: "good", answer: "answer"},
		"neither":                   {disk: "gone", redis: "gone"},
		"not here, and redis down":  {disk: "gone", redis: "down", err: unread},
		"damaged here":              {disk: "damaged", redis: "good", answer: "answer"},
		"damaged here alone":        {disk: "damaged", redis: "gone", err: unreadable},
		"damaged both":              {disk: "damaged", redis: "damaged", err: unreadable},
		"damaged there alone":       {disk: "gone", redis: "damaged", err: unreadable},
		"damaged here, redis down":  {disk: "damaged", redis: "down", err: errDown, vague: true},
		"disk fails":                {disk: "fails", redis: "good", answer: "answer"},
		"disk fails, none in redis": {disk: "fails", redis: "gone", err: errAny, vague: true},
		"disk fails, damaged there": {disk: "fails", redis: "damaged", err: errAny, vague: true},
		"disk fails, redis is down": {disk: "fails", redis: "down", err: errDown, vague: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			sealed(t, r.Escrow, ref(1), "answer")
			path := r.answerFile(ref(1))
			switch data := read(t, path); test.disk {
			case "damaged":
				write(t, path, damage(data))
			case "gone":
				must(t, os.Remove(path))
				r.reopen(t)
			case "fails":
				must(t, os.Remove(path))
				must(t, os.Mkdir(path, 0o700))
			}
			r.copies.set(func(c *copies) {
				switch test.redis {
				case "damaged":
					c.data["attempt1"] = damage(c.data["attempt1"])
				case "gone":
					clear(c.data)
				case "down":
					c.down = errDown
				}
			})
			plain, err := r.Read(t.Context(), ref(1))
			equal(t, "answer", string(plain), test.answer)
			equal(t, "failed", err != nil, test.err != nil)
			if !errors.Is(test.err, errAny) && !errors.Is(err, test.err) {
				t.Errorf("got %v, want %v", err, test.err)
			}
			if test.vague && (errors.Is(err, unreadable) || errors.Is(err, unread)) {
				t.Errorf("got %v, want an error that leaves open whether there is an answer", err)
			}
		})
	}
}

// errAny stands for an error of the disk.
var errAny = errors.New("any")

// TestReadWhileItIsWritten: half an answer is not a damaged one.
func TestReadWhileItIsWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	slot := room(t, r.Escrow, ref(1))
	defer slot.Release()
	reads(t, r.Escrow, ref(1), "")
	write(t, r.answerFile(ref(1)), []byte(`{"v":1,"key"`))
	reads(t, r.Escrow, ref(1), "")
	must(t, slot.Seal(t.Context(), []byte("answer")))
	reads(t, r.Escrow, ref(1), "answer")
}

// TestReadAnotherTokensAnswer: an answer is an answer to one token of one
// credential alone.
func TestReadAnotherTokensAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sealed(t, r.Escrow, ref(1), "answer")
	for name, change := range map[string]func(*escrow.Ref){
		"token":      func(r *escrow.Ref) { r.Presented = credential.Secret("another").Hash() },
		"credential": func(r *escrow.Ref) { r.ID.Name = "other" },
		"tenant":     func(r *escrow.Ref) { r.ID.Tenant = "other" },
		"attempt":    func(r *escrow.Ref) { r.Attempt = "attempt2" },
	} {
		other := ref(1)
		change(&other)
		plain, err := r.Read(t.Context(), other)
		if plain != nil || err != nil {
			t.Errorf("another %s: got %q, %v, want nothing", name, plain, err)
		}
	}
}

// TestNothingInTheClear searches the disk and Redis for what was sealed.
func TestNothingInTheClear(t *testing.T) {
	t.Parallel()
	const token, successor = "rt-presented-7b1e5c0d9a", "rt-successor-44f0a2c8e1"
	server := redistest.Start(t)
	client := server.Client(t)
	dir, vault := t.TempDir(), &keys{}
	e, err := escrow.Open(escrow.Settings{
		Dir: dir, Keep: keep, Keys: vault, Copies: escrow.NewRedisCopies(client, "test", keep),
	})
	must(t, err)
	defer func() { must(t, e.Close()) }()

	hash := credential.Secret(token).Hash()
	for n, then := range []func(escrow.Ref) error{
		func(escrow.Ref) error { return nil },
		func(ref escrow.Ref) error { return e.SetAside(t.Context(), ref) },
		func(ref escrow.Ref) error { return e.Keep(t.Context(), ref) },
	} {
		ref := ref(n)
		ref.Presented = hash
		slot := room(t, e, ref)
		must(t, e.Present(t.Context(), hash, n > 0))
		must(t, slot.Seal(t.Context(), []byte(`{"refresh_token":"`+successor+`"}`)))
		slot.Release()
		must(t, then(ref))
	}
	must(t, e.Rotated(t.Context(), hash))

	places := map[string][]byte{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			places[path] = read(t, path)
		}
		return err
	}))
	all, err := client.Keys(t.Context(), "*").Result()
	must(t, err)
	for _, key := range all {
		if value, err := client.Get(t.Context(), key).Bytes(); err == nil {
			places["redis "+key] = append([]byte(key+" "), value...)
			continue
		}
		fields, err := client.HGetAll(t.Context(), key).Result()
		must(t, err)
		for field, value := range fields {
			places["redis "+key+" "+field] = []byte(key + " " + field + " " + value)
		}
	}
	equal(t, "files and keys", len(places), 6+2) // lock, owner, spent, answer, aside, kept; kept, spent
	private := vault.stored[0].Private.Reveal()
	for _, secret := range []string{token, successor, "refresh_token", private} {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			for place, data := range places {
				if bytes.Contains(data, []byte(form)) {
					t.Errorf("%s holds %q in the clear", place, form)
				}
			}
		}
	}
}
