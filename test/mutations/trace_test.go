package mutations

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// call is a system call that succeeded.
type call struct {
	name string
	// on is the path or the connection of its first argument, if that is a file.
	on   string
	args string
	// began and ended are lines of the trace: what ended before another began happened
	// before it, on whatever threads.
	began, ended int
}

var (
	whole    = regexp.MustCompile(`^(\d+)\s+(\w+)\((.*)\)\s+= (-?\d+)`)
	entered  = regexp.MustCompile(`^(\d+)\s+(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed  = regexp.MustCompile(`^(\d+)\s+<\.\.\. \w+ resumed>(.*)\)\s+= (-?\d+)`)
	argument = regexp.MustCompile(`^\d+<((?:TCP:\[[^\]]*\])|[^>]*)>`)
)

// parseTrace reads what "strace -f -yy -o" wrote. A call during which another thread
// made one stands in two lines.
func parseTrace(trace string) []call {
	var calls []call
	open := map[string]call{} // by thread
	n := 0
	for line := range strings.Lines(trace) {
		n++
		line = strings.TrimSuffix(line, "\n")
		var c call
		result := ""
		if m := whole.FindStringSubmatch(line); m != nil {
			c, result = call{name: m[2], args: m[3], began: n, ended: n}, m[4]
		} else if m := entered.FindStringSubmatch(line); m != nil {
			open[m[1]] = call{name: m[2], args: m[3], began: n}
			continue
		} else if m := resumed.FindStringSubmatch(line); m != nil {
			c, result = open[m[1]], m[3]
			c.args, c.ended = c.args+m[2], n
			delete(open, m[1])
		}
		if on := argument.FindStringSubmatch(c.args); on != nil {
			c.on = on[1]
		}
		if c.began > 0 && c.did(result) {
			calls = append(calls, c)
		}
	}
	return calls
}

// did reports whether a call with this result did anything: it did not fail, and if it
// was to read, it read something.
func (c call) did(result string) bool {
	value, err := strconv.Atoi(result)
	return err == nil && (value > 0 || value == 0 && c.name != "read")
}

// rotation is where one rotation takes place.
type rotation struct {
	spool                  string
	provider, vault, redis string // host:port
}

// to reports whether a call sends something to an address.
func (c call) to(address string) bool {
	return c.name == "write" && strings.HasSuffix(c.on, "->"+address+"]")
}

// step is one that a rotation must take.
type step struct {
	name string
	is   func(c call) bool
}

// steps are those of a rotation, in the order in which they must come. Those that have
// the same condition are its first and its second time.
func (r rotation) steps(attempt string) []step {
	room, spent := r.spool+"/answers/"+attempt, r.spool+"/spent"
	on := func(name, path string) func(call) bool {
		return func(c call) bool { return c.name == name && c.on == path }
	}
	write := func(address string, words ...string) func(call) bool {
		return func(c call) bool {
			for _, word := range words {
				if !strings.Contains(c.args, word) {
					return false
				}
			}
			return c.to(address)
		}
	}
	return []step{
		{"the room is made", func(c call) bool {
			return c.name == "openat" && strings.Contains(c.args, room) && strings.Contains(c.args, "O_EXCL")
		}},
		{"its space is reserved", on("fallocate", room)},
		{"the room is synced", on("fsync", room)},
		{"its folder is synced", on("fsync", r.spool+"/answers")},
		{"the intent goes to Vault", write(r.vault, `"PUT `, "/data/", "/grants/")},
		{"the mark in the spent list is written", on("pwrite64", spent)},
		{"the spent list is synced", on("fsync", spent)},
		{"the token goes to the provider", write(r.provider)},
		{"the answer is written", on("pwrite64", room)},
		{"the answer is cut to its length", on("ftruncate", room)},
		{"the answer is synced", on("fsync", room)},
		{"the copy goes to Redis", write(r.redis, ":escrow:", `\nhsetnx\r`, attempt)},
		{"the commit goes to Vault", write(r.vault, `"PUT `, "/data/", "/grants/")},
		{"the token is published", write(r.vault, `"PUT `, "/data/", "/tokens/")},
		{"the answer is kept", func(c call) bool { return strings.HasPrefix(c.name, "rename") && strings.Contains(c.args, room) }},
	}
}

// disorder returns the first thing that is wrong with the order of a rotation's calls,
// "" if nothing is. What was asked of others is done when their answer has come.
func (r rotation) disorder(calls []call) string {
	before, done := "", 0
	used := map[int]bool{}
	for _, s := range r.steps(r.attempt(calls)) {
		i := next(calls, used, s.is)
		switch {
		case i < 0:
			return s.name + ": never"
		case calls[i].began <= done:
			return s.name + ": before this was done: " + before
		}
		used[i] = true
		before, done = s.name, calls[i].answered(calls)
	}
	return ""
}

// attempt returns the attempt that a room was made for first.
func (r rotation) attempt(calls []call) string {
	for _, c := range calls {
		if _, name, ok := strings.Cut(c.args, r.spool+"/answers/"); ok && c.name == "openat" && strings.Contains(c.args, "O_EXCL") {
			name, _, _ = strings.Cut(name, `"`)
			return name
		}
	}
	return "none"
}

// next returns the first call that fits and is not taken yet, -1 if there is none.
func next(calls []call, used map[int]bool, is func(call) bool) int {
	for i, c := range calls {
		if !used[i] && is(c) {
			return i
		}
	}
	return -1
}

// answered returns the line in which a call is done: for a request, when something
// has been read from the connection that it went out on, and never if nothing was.
func (c call) answered(calls []call) int {
	if c.name != "write" {
		return c.ended
	}
	for _, reply := range calls {
		if reply.name == "read" && reply.on == c.on && reply.ended > c.began {
			return reply.ended
		}
	}
	return math.MaxInt
}

func TestParseTrace(t *testing.T) {
	t.Parallel()
	calls := parseTrace(`7     openat(AT_FDCWD</>, "/s/answers/a", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 9</s/answers/a>
7 fsync(9</s/answers/a> <unfinished ...>
8 read(4<TCP:[127.0.0.1:1->127.0.0.1:2]>,  <unfinished ...>
7 <... fsync resumed>)                  = 0
7 fsync(9</s/answers/a>) = -1 EIO (Input/output error)
8 <... read resumed>"(OK) = 1", 4096)        = 2
8 read(4<TCP:[127.0.0.1:1->127.0.0.1:2]>, "", 4096) = 0
12345 write(4<TCP:[127.0.0.1:1->127.0.0.1:2]>, "x", 1 <unfinished ...>
7 +++ exited with 0 +++
`)
	want := []call{
		{"openat", "", `AT_FDCWD</>, "/s/answers/a", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600`, 1, 1},
		{"fsync", "/s/answers/a", "9</s/answers/a>", 2, 4},
		{"read", "TCP:[127.0.0.1:1->127.0.0.1:2]", `4<TCP:[127.0.0.1:1->127.0.0.1:2]>, "(OK) = 1", 4096`, 3, 6},
	}
	if len(calls) != len(want) {
		t.Fatalf("got %+v, want %+v", calls, want)
	}
	for i, c := range calls {
		if c != want[i] {
			t.Errorf("got %+v, want %+v", c, want[i])
		}
	}
}

// TestDisorder: a rotation without one of its steps, or with two of them the wrong way
// round, is not in order.
func TestDisorder(t *testing.T) {
	t.Parallel()
	where := rotation{spool: "/s", provider: "1.1.1.1:1", vault: "1.1.1.1:2", redis: "1.1.1.1:3"}
	const vault, room = "<TCP:[1.1.1.1:9->1.1.1.1:2]>", "</s/answers/a>"
	lines := []string{
		`openat(AT_FDCWD</>, "/s/answers/a", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 9` + room,
		"fallocate(9" + room + ", FALLOC_FL_KEEP_SIZE, 0, 9) = 0", "fsync(9" + room + ") = 0", "fsync(8</s/answers>) = 0",
		"write(5" + vault + `, "PUT /v1/secret/data/r/grants/a/b ", 9) = 9`, "read(5" + vault + `, "HTTP/1.1 200", 9) = 9`,
		`pwrite64(7</s/spent>, "sent", 4, 0) = 4`, "fsync(7</s/spent>) = 0",
		`write(6<TCP:[1.1.1.1:8->1.1.1.1:1]>, "POST", 4) = 4`, `read(6<TCP:[1.1.1.1:8->1.1.1.1:1]>, "HTTP", 4) = 4`,
		"pwrite64(9" + room + `, "sealed", 6, 0) = 6`, "ftruncate(9" + room + ", 6) = 0", "fsync(9" + room + ") = 0",
		`write(4<TCP:[1.1.1.1:7->1.1.1.1:3]>, "*4\r\n$6\r\nhsetnx\r\n$12\r\nr:escrow:a/b\r\n$1\r\na", 9) = 9`, `read(4<TCP:[1.1.1.1:7->1.1.1.1:3]>, ":1", 2) = 2`,
		"write(5" + vault + `, "PUT /v1/secret/data/r/grants/a/b ", 9) = 9`, "read(5" + vault + `, "HTTP/1.1 200", 9) = 9`,
		"write(5" + vault + `, "PUT /v1/secret/data/r/tokens/a/b ", 9) = 9`, "read(5" + vault + `, "HTTP/1.1 200", 9) = 9`,
		`renameat(AT_FDCWD</>, "/s/answers/a", AT_FDCWD</>, "/s/kept/a.b") = 0`,
	}
	disorder := func(lines []string) string {
		return where.disorder(parseTrace("7 " + strings.Join(lines, "\n7 ") + "\n"))
	}
	if wrong := disorder(lines); wrong != "" {
		t.Errorf("in order: got %q", wrong)
	}
	for i := range lines {
		if disorder(slices.Delete(slices.Clone(lines), i, i+1)) == "" {
			t.Errorf("without %s: not noticed", lines[i])
		}
		swapped := slices.Clone(lines)
		if i > 0 {
			swapped[i-1], swapped[i] = lines[i], lines[i-1]
		}
		if i > 0 && disorder(swapped) == "" {
			t.Errorf("%s before %s: not noticed", lines[i], lines[i-1])
		}
	}
}
