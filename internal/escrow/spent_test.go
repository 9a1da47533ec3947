package escrow_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/internal/redistest"
)

// replicas are two processes with a directory each, and a Redis that they share
// unless it is cut off.
type replicas struct {
	t      *testing.T
	redis  *redistest.Proxy // nil: there is none
	prefix string
	dirs   map[string]string
	open   map[string]*escrow.Escrow
	client *redis.Client
}

func newReplicas(t *testing.T, server *redistest.Server, prefix string) *replicas {
	t.Helper()
	w := &replicas{
		t: t, prefix: prefix, dirs: map[string]string{"A": t.TempDir(), "B": t.TempDir()}, open: map[string]*escrow.Escrow{},
	}
	if server != nil {
		w.redis = server.Proxy(t)
		w.client = server.Client(t, func(o *redis.Options) { o.Addr = w.redis.Addr })
	}
	for who := range w.dirs {
		w.start(who)
	}
	t.Cleanup(func() {
		for _, e := range w.open {
			_ = e.Close()
		}
	})
	return w
}

func (w *replicas) start(who string) {
	w.t.Helper()
	settings := escrow.Settings{Dir: w.dirs[who], Keep: keep, Keys: &keys{}}
	if w.client != nil {
		settings.Copies = escrow.NewRedisCopies(w.client, w.prefix, keep)
	}
	var err error
	w.open[who], err = escrow.Open(settings)
	must(w.t, err)
}

// do carries out one step, such as "A present", and returns its outcome: "ok",
// "spent" or "error".
func (w *replicas) do(step, hash string) string {
	w.t.Helper()
	who, what, _ := strings.Cut(step, " ")
	e, err := w.open[who], error(nil)
	switch what {
	case "present", "probe":
		err = e.Present(w.t.Context(), hash, what == "probe")
	case "looks":
		var spent bool
		if spent, err = e.Spent(w.t.Context(), hash); spent {
			err = escrow.ErrSpent
		}
	case "rotated":
		err = e.Rotated(w.t.Context(), hash)
	case "unspent":
		err = e.Unspent(w.t.Context(), hash)
	case "restarts":
		_ = e.Close()
		w.start(who)
	case "loses its disk":
		must(w.t, e.Close())
		w.dirs[who] = w.t.TempDir()
		w.start(who)
	case "goes":
		w.redis.Cut()
	case "comes":
		w.redis.Heal()
		redistest.Eventually(w.t, "redis", func() bool { return w.client.Ping(w.t.Context()).Err() == nil })
	case "forgets":
		must(w.t, w.client.Del(w.t.Context(), w.prefix+":spent:"+hash).Err())
	case "tells":
		e.RedisForgot()
		e.CopyAgain(w.t.Context(), time.Now())
	default:
		w.t.Fatalf("no such step: %q", step)
	}
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, escrow.ErrSpent):
		return "spent"
	default:
		return "error"
	}
}

// TestSpentList tells what may be presented after what. A step is "who what", or
// "who what: outcome" where the outcome is not "ok".
func TestSpentList(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, test := range map[string]struct {
		steps    []string
		disksToo bool // holds without Redis as well
	}{
		"presented once": {[]string{
			"A present", "A present: spent",
		}, true},
		"a probe after an unknown answer": {[]string{
			"A present", "A probe", "A probe", "A present: spent",
		}, true},
		"a probe of a token never seen": {[]string{
			"A probe", "A present: spent",
		}, true},
		"no probe of what was rotated": {[]string{
			"A present", "A rotated", "A probe: spent", "A present: spent",
		}, true},
		"unspent allows again, once": {[]string{
			"A present", "A unspent", "A present", "A present: spent",
		}, true},
		"a restart forgets nothing": {[]string{
			"A present", "A restarts", "A present: spent", "A probe", "A rotated", "A restarts", "A probe: spent",
		}, true},
		"a restart forgets no proof": {[]string{
			"A present", "A unspent", "A restarts", "A present",
		}, true},
		"another replica's": {[]string{
			"A present", "B present: spent", "B probe", "A rotated", "B probe: spent",
		}, false},
		"another replica's, unspent": {[]string{
			"A present", "A unspent", "B present", "A present: spent",
		}, false},
		"looked up": {[]string{
			"A looks", "A present", "A looks: spent", "A unspent", "A looks", "A present", "A rotated", "A looks: spent",
		}, true},
		"looked up elsewhere": {[]string{
			"A present", "B looks: spent", "R goes", "B looks: error", "A looks: spent", "R comes", "A unspent", "B looks",
		}, false},
		"a lost disk": {[]string{
			"A present", "A loses its disk", "A present: spent", "A probe",
		}, false},
		"a redis that lost everything": {[]string{
			"A present", "R forgets", "A present: spent", "A rotated", "R forgets", "A probe: spent",
		}, false},
		"a redis that is told again": {[]string{
			"A present", "R forgets", "A tells", "B present: spent", "B probe", "A rotated", "R forgets", "B tells", "A tells", "B probe: spent",
		}, false},
		"a redis that is told of nothing spent": {[]string{
			"A present", "A unspent", "R forgets", "A tells", "B present",
		}, false},
		"what redis knew to be rotated is known without it": {[]string{
			"A present", "A rotated", "B probe: spent", "R goes", "B probe: spent", "B restarts", "B probe: spent",
		}, false},
		"what the disk refuses redis does not hear of": {[]string{
			"A present", "R forgets", "A present: spent", "B looks",
		}, false},
		"without redis the disk alone decides": {[]string{
			"R goes", "A present", "A present: spent", "A probe", "A rotated", "A probe: spent",
		}, false},
		"what redis knew it still knows": {[]string{
			"A present", "R goes", "R comes", "B present: spent",
		}, false},
		"a proof that redis did not hear of": {[]string{
			"A present", "R goes", "A unspent: error", "R comes", "A present: spent", "A probe",
		}, false},
		"a proof that redis need not hear of": {[]string{
			"R goes", "A present", "A unspent: error", "R comes", "A present",
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newReplicas(t, server, "redis").follow(test.steps, name)
			if test.disksToo {
				newReplicas(t, nil, "").follow(test.steps, name)
			}
		})
	}
}

// follow takes the steps, each with the outcome that it says.
func (w *replicas) follow(steps []string, name string) {
	w.t.Helper()
	hash := credential.Secret(name).Hash()
	for n, step := range steps {
		step, want, ok := strings.Cut(step, ": ")
		if !ok {
			want = "ok"
		}
		if got := w.do(step, hash); got != want {
			w.t.Fatalf("step %d, %s: got %s, want %s", n+1, step, got, want)
		}
	}
}

// TestPresentAtOnce: of many who present one token at once, one may.
func TestPresentAtOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, test := range map[string]struct {
		server *redistest.Server
		who    []string
		cut    bool
	}{
		"one replica":                {server, []string{"A"}, false},
		"two replicas":               {server, []string{"A", "B"}, false},
		"one replica, redis is down": {server, []string{"A"}, true},
		"one replica without redis":  {nil, []string{"A"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newReplicas(t, test.server, "at-once")
			if test.cut {
				w.redis.Cut()
			}
			hash := credential.Secret(name).Hash()
			start := make(chan struct{})
			var passed, refused atomic.Int32
			var all sync.WaitGroup
			for n := range 50 {
				e := w.open[test.who[n%len(test.who)]]
				all.Go(func() {
					<-start
					switch err := e.Present(t.Context(), hash, false); {
					case err == nil:
						passed.Add(1)
					case errors.Is(err, escrow.ErrSpent):
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			close(start)
			all.Wait()
			equal(t, "passed", passed.Load(), 1)
			equal(t, "refused", refused.Load(), 49)
		})
	}
}

// TestPresentWithoutADisk: Redis has the mark and the disk cannot take it. The
// caller learns of it, and can undo it; who could not, because it crashed, finds
// an open intent and probes.
func TestPresentWithoutADisk(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, test := range map[string]struct {
		undone bool
		then   []string
	}{
		"undone":             {true, []string{"B present"}},
		"not undone":         {false, []string{"B present: spent", "B probe"}},
		"undone, here":       {true, []string{"A restarts", "A present"}},
		"not undone, nor on": {false, []string{"A restarts", "A present: spent", "A probe"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newReplicas(t, server, "no-disk")
			hash := credential.Secret(name).Hash()
			must(t, w.open["A"].BreakSpentFile())
			equal(t, "present", w.do("A present", hash), "error")
			if test.undone {
				equal(t, "unspent", w.do("A unspent", hash), "error")
			}
			w.follow(test.then, name)
		})
	}
}

// TestSpentListTells: what Redis could not do is told, and says what it is about.
func TestSpentListTells(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.copies.set(func(c *copies) { c.down = errDown })
	must(t, r.Present(t.Context(), "hash", false))
	must(t, r.Rotated(t.Context(), "hash"))
	if _, err := r.Spent(t.Context(), "other"); !errors.Is(err, errDown) {
		t.Errorf("spent: got %v, want %v", err, errDown)
	}
	equalAll(t, "told", r.told(), []string{"spent list in redis", "spent list in redis"})
	if err := r.Unspent(t.Context(), "other"); !errors.Is(err, errDown) {
		t.Errorf("unspent: got %v, want %v", err, errDown)
	}
	equal(t, "told", len(r.told()), 0)
}

// TestOpenFailsAndLetsGo: an error names the file, and the directory is free for
// the next attempt.
func TestOpenFailsAndLetsGo(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"spent", "owner"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			r := &rig{dir: t.TempDir(), keys: &keys{}}
			path := filepath.Join(r.dir, file)
			must(t, os.Mkdir(path, 0o700))
			_, err := escrow.Open(escrow.Settings{Dir: r.dir, Keep: keep, Keys: r.keys})
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want an error that names %s", err, path)
			}
			must(t, os.Remove(path))
			r.open(t)
		})
	}
}
