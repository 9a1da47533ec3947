package escrow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/redistest"
)

const keepSpent = 15 * 24 * time.Hour

// presentCases are what may be presented, whoever decides it.
var presentCases = map[string]struct {
	mark         string
	first, probe bool // whether a first presentation and a probe may go out
}{
	"never seen": {"", true, true},
	"sent":       {markSent, false, true},
	"rotated":    {markRotated, false, false},
	"unspent":    {markUnspent, true, true},
	"unknown":    {"mislaid", false, false},
}

// TestMayPresent asks the pure function, the disk and Redis the same.
func TestMayPresent(t *testing.T) {
	t.Parallel()
	redisCopies := NewRedisCopies(redistest.Start(t).Client(t), "test", keepSpent)
	for name, test := range presentCases {
		for probe, want := range map[bool]bool{false: test.first, true: test.probe} {
			t.Run(fmt.Sprintf("%s, probe %t", name, probe), func(t *testing.T) {
				t.Parallel()
				if got := mayPresent(test.mark, probe); got != want {
					t.Errorf("mayPresent: got %t, want %t", got, want)
				}

				list := openList(t, t.TempDir(), sealTime)
				hash := strings.ReplaceAll(t.Name(), " ", "_")
				if test.mark != "" {
					noError(t, list.set(hash, test.mark, sealTime))
					noError(t, redisCopies.Mark(t.Context(), hash, test.mark))
				}
				spent, err := redisCopies.Spent(t.Context(), hash)
				noError(t, err)
				if spent == test.first {
					t.Errorf("redis: spent is %t", spent)
				}
				err = list.present(hash, probe, 0, sealTime)
				if (err == nil) != want || (err != nil && !errors.Is(err, ErrSpent)) {
					t.Errorf("disk: got %v, want %t", err, want)
				}
				err = redisCopies.Present(t.Context(), hash, probe, 0)
				if (err == nil) != want || (err != nil && !errors.Is(err, ErrSpent)) {
					t.Errorf("redis: got %v, want %t", err, want)
				}
				if !want {
					return
				}
				// Whoever let it out has marked it as sent.
				if mark := list.mark(hash); mark != markSent {
					t.Errorf("disk: the mark is %q afterwards", mark)
				}
				if err := redisCopies.Present(t.Context(), hash, false, time.Hour); !errors.Is(err, ErrSpent) {
					t.Errorf("redis: a first presentation afterwards: got %v", err)
				}
				if err := redisCopies.Present(t.Context(), hash, true, time.Hour); !errors.Is(err, ErrTooSoon) {
					t.Errorf("redis: a probe at once: got %v", err)
				}
				if err := redisCopies.Present(t.Context(), hash, true, 0); err != nil {
					t.Errorf("redis: a probe afterwards: got %v", err)
				}
			})
		}
	}
}

// TestProbesApart: a probe waits until what was sent before can have no effect any more. A
// clock that was put back is no reason to wait until it is where it was.
func TestProbesApart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	copies := NewRedisCopies(client, "test", keepSpent)
	for later, want := range map[time.Duration]error{0: ErrTooSoon, 59 * time.Minute: ErrTooSoon, time.Hour: nil, -time.Minute: nil} {
		list, hash := openList(t, t.TempDir(), sealTime), later.String()
		noError(t, list.present(hash, false, time.Hour, sealTime))
		if err := list.present(hash, true, time.Hour, sealTime.Add(later)); !errors.Is(err, want) {
			t.Errorf("disk, after %s: got %v, want %v", later, err, want)
		}
		noError(t, copies.Present(t.Context(), hash, false, time.Hour))
		noError(t, client.PExpire(t.Context(), "test:spent:"+hash, keepSpent-later).Err())
		if err := copies.Present(t.Context(), hash, true, time.Hour); !errors.Is(err, want) {
			t.Errorf("redis, after %s: got %v, want %v", later, err, want)
		}
	}
}

// TestPresentRepeatedByTheClient: the client of a Redis Cluster repeats a command
// whose reply was lost. That is no second presentation.
func TestPresentRepeatedByTheClient(t *testing.T) {
	t.Parallel()
	proxy := redistest.Start(t).Proxy(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{
		MaxRetries: -1, ContextTimeoutEnabled: true,
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) { // one server stands for a Cluster
			return []redis.ClusterSlot{{End: 16383, Nodes: []redis.ClusterNode{{Addr: proxy.Addr}}}}, nil
		},
	})
	defer func() { noError(t, client.Close()) }()
	copies := NewRedisCopies(client, "test", keepSpent)
	// The script is known to the server, so that its call is one command.
	noError(t, copies.Present(t.Context(), "warm-up", false, 0))
	proxy.LoseReply("evalsha", 1)
	if err := copies.Present(t.Context(), "hash", false, 0); err != nil || proxy.Pending() != 0 {
		t.Fatalf("got %v with %d replies still to be lost; want leave to present", err, proxy.Pending())
	}
	if err := copies.Present(t.Context(), "hash", false, 0); !errors.Is(err, ErrSpent) {
		t.Errorf("a second presentation: got %v", err)
	}
}

func openList(t *testing.T, dir string, now time.Time) *spentLog {
	t.Helper()
	list, err := openSpentLog(dir, keepSpent, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = list.file.Close() })
	return list
}

func sameMarks(t *testing.T, list *spentLog, want map[string]string) {
	t.Helper()
	for hash, mark := range want {
		if got := list.mark(hash); got != mark {
			t.Errorf("%s is marked as %q, want %q", hash, got, mark)
		}
	}
	if n := len(list.marks); n != len(want) {
		t.Errorf("%d marks, want %d", n, len(want))
	}
}

func TestSpentFile(t *testing.T) {
	t.Parallel()
	now := sealTime.Unix()
	old := sealTime.Add(-keepSpent).Unix() - 1
	for name, test := range map[string]struct {
		file string
		want map[string]string
	}{
		"none":                  {"", map[string]string{}},
		"the last line counts":  {fmt.Sprintf("%d sent a\n%d sent b\n%d rotated a\n", now, now, now), map[string]string{"a": "rotated", "b": "sent"}},
		"as old as may be":      {fmt.Sprintf("%d sent a\n", old+1), map[string]string{"a": "sent"}},
		"too old":               {fmt.Sprintf("%d sent a\n%d sent b\n", old, now), map[string]string{"b": "sent"}},
		"old, and marked again": {fmt.Sprintf("%d sent a\n%d rotated a\n", old, now), map[string]string{"a": "rotated"}},
		"a torn time":           {fmt.Sprintf("%d sent a\n17", now), map[string]string{"a": "sent"}},
		"a torn mark":           {fmt.Sprintf("%d sent a\n%d rot", now, now), map[string]string{"a": "sent"}},
		"a torn hash":           {fmt.Sprintf("%d sent a\n%d rotated abcdef", now, now), map[string]string{"a": "sent"}},
		"a hash torn at its end": {
			fmt.Sprintf("%d sent a\n%d rotated a", now, now), map[string]string{"a": "sent"},
		},
		"zeros at the end": {
			fmt.Sprintf("%d sent a\n", now) + strings.Repeat("\x00", 1<<20), map[string]string{"a": "sent"},
		},
		"a long line of nonsense": {
			fmt.Sprintf("%d sent a\n%s\n%d sent b\n", now, strings.Repeat("x ", 1<<20), now), map[string]string{"a": "sent", "b": "sent"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			noError(t, os.WriteFile(filepath.Join(dir, "spent"), []byte(test.file), 0o600))
			list := openList(t, dir, sealTime)
			sameMarks(t, list, test.want)

			noError(t, list.present("z", false, 0, sealTime))
			test.want["z"] = markSent
			sameMarks(t, openList(t, dir, sealTime), test.want)
		})
	}
}

// TestSpentFileAfterAFailedWrite: what a failed write left behind, however much
// of it, does not spoil the line that follows.
func TestSpentFileAfterAFailedWrite(t *testing.T) {
	t.Parallel()
	line := fmt.Sprintf(spentLine, sealTime.Unix(), markRotated, "lost")
	for n := range len(line) + 1 {
		dir := t.TempDir()
		list := openList(t, dir, sealTime)
		noError(t, list.present("a", false, 0, sealTime))
		_, err := list.file.WriteAt([]byte(line[:n]), list.size)
		noError(t, err)
		noError(t, list.present("b", false, 0, sealTime))
		noError(t, list.set("b", markRotated, sealTime))
		sameMarks(t, openList(t, dir, sealTime), map[string]string{"a": markSent, "b": markRotated})
	}
}

// TestSpentListStaysSmall lives through a year of rotations.
func TestSpentListStaysSmall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := openList(t, dir, sealTime)
	const perDay = 5
	now, last := sealTime, ""
	for day := range 365 {
		now = sealTime.AddDate(0, 0, day)
		for n := range perDay {
			last = fmt.Sprintf("hash-%d-%d", day, n)
			noError(t, list.present(last, false, 0, now))
			noError(t, list.set(last, markRotated, now))
		}
	}
	live := 16 * perDay // fifteen days and today
	data, err := os.ReadFile(list.path)
	noError(t, err)
	if lines := bytes.Count(data, []byte{'\n'}); lines > 2*live+rewriteSlack || lines != list.lines {
		t.Errorf("the file has %d lines, counted as %d, for %d marks that matter", lines, list.lines, live)
	}
	if n := len(list.marks); n > 2*live+rewriteSlack {
		t.Errorf("%d marks in memory, %d of them matter", n, live)
	}
	again := openList(t, dir, now)
	if n := len(again.marks); n != live {
		t.Errorf("%d marks after a restart, want %d", n, live)
	}
	if mark := again.mark(last); mark != markRotated {
		t.Errorf("the last token's mark is %q", mark)
	}
	if mark := again.mark("hash-0-0"); mark != "" {
		t.Errorf("the first token's mark is %q", mark)
	}
}

// TestSpentFileIsRewritten: nothing is lost when the file is replaced, and nothing
// if it cannot be.
func TestSpentFileIsRewritten(t *testing.T) {
	t.Parallel()
	for name, blocked := range map[string]bool{"in time": false, "not while it cannot be": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "spent")
			many := strings.Repeat(fmt.Sprintf(spentLine, sealTime.Unix(), markRotated, "a"), rewriteSlack+10)
			noError(t, os.WriteFile(path, []byte(many), 0o600))
			list := openList(t, dir, sealTime)
			want := 3
			if blocked {
				noError(t, os.Mkdir(path+".new", 0o700))
				want = rewriteSlack + 12
			}
			noError(t, list.present("b", false, 0, sealTime))
			noError(t, list.present("c", false, 0, sealTime))

			data, err := os.ReadFile(path)
			noError(t, err)
			if lines := bytes.Count(data, []byte{'\n'}); lines != want {
				t.Errorf("%d lines, want %d", lines, want)
			}
			if list.rewriteAt < list.lines+rewriteSlack/2 {
				t.Errorf("the next rewrite is at %d lines already, and there are %d", list.rewriteAt, list.lines)
			}
			sameMarks(t, openList(t, dir, sealTime), map[string]string{"a": markRotated, "b": markSent, "c": markSent})
		})
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
