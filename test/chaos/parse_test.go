package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"refresher/internal/providersim"
)

func TestReadRESP(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"simple": "+OK\r\n", "error": "-ERR no\r\n", "number": ":12\r\n", "null": "_\r\n", "true": "#t\r\n", "double": ",1.5\r\n",
		"bulk": "$5\r\na\r\nb\x00\r\n", "no bulk": "$-1\r\n", "array": "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n", "no array": "*-1\r\n",
		"map": "%1\r\n+a\r\n:1\r\n", "set": "~1\r\n+a\r\n", "verbatim": "=7\r\ntxt:abc\r\n", "attribute": "|1\r\n+a\r\n:1\r\n+OK\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var raw bytes.Buffer
			in := bufio.NewReader(strings.NewReader(value + "+NEXT\r\n"))
			if err := readRESP(in, &raw); err != nil || raw.String() != value {
				t.Errorf("read %q, %v; want %q", raw.String(), err, value)
			}
		})
	}
	for _, broken := range []string{"", "hello\r\n", "$x\r\n", "$5\r\nab", "*2\r\n:1\r\n", "\n"} {
		if err := readRESP(bufio.NewReader(strings.NewReader(broken)), &bytes.Buffer{}); err == nil {
			t.Errorf("%q was read as a value", broken)
		}
	}
	if got := commandArgs([]byte("*2\r\n$3\r\nGET\r\n$3\r\na b\r\n")); !slices.Equal(got, []string{"GET", "a b"}) {
		t.Errorf("the arguments are %q", got)
	}
	if got := commandArgs([]byte("PING\r\n")); got != nil {
		t.Errorf("the arguments of an inline command are %q", got)
	}
}

func TestParseAnswer(t *testing.T) {
	t.Parallel()
	const head = `{"v":1,"tenant":"acme","name":"main","attempt":"a1","presented":"p","size":4}` + "\n"
	for name, c := range map[string]struct {
		data  string
		whole bool
	}{
		"whole":         {head + "seal", true},
		"room behind":   {head + "seal\x00\x00", true},
		"torn":          {head + "sea", false},
		"torn head":     {head[:20], false},
		"empty room":    {"", false},
		"zeros":         {"\x00\x00\x00\n", false},
		"nobody's":      {"{}\nseal", false},
		"no ciphertext": {strings.TrimSuffix(head, "\n"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, whole := parseAnswer([]byte(c.data)); whole != c.whole || whole && got.Attempt != "a1" {
				t.Errorf("%+v, whole %t", got, whole)
			}
		})
	}
}

// TestWatch: the rig hears of an answer when it is whole, and once.
func TestWatch(t *testing.T) {
	t.Parallel()
	shown := make(chan string, 10)
	s := &spoolDir{dir: t.TempDir(), show: func(data []byte) { shown <- string(data) }}
	folder := filepath.Join(s.dir, "answers")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	heard := make(chan spooledAnswer, 10)
	stop, err := s.watch(func(a spooledAnswer) { heard <- a })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	f, err := os.Create(filepath.Join(folder, "a1"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, part := range []string{`{"attempt":"a1",`, `"size":4}` + "\n", "se", "al", "\x00"} {
		if _, err := f.WriteString(part); err != nil {
			t.Fatal(err)
		}
	}
	if a := <-heard; a.Attempt != "a1" {
		t.Errorf("heard of %+v", a)
	}
	if text := <-shown; !strings.Contains(text, `"attempt":"a1"`) || !strings.Contains(text, "seal") {
		t.Errorf("what is searched for secrets is %q", text)
	}
	if found := s.answers(); len(found) != 1 || len(heard) != 0 {
		t.Errorf("found %v, and heard %d times more", found, len(heard))
	}
}

// TestReadOnly: nobody makes or deletes a file in a spool that was made read-only, what is open there is still
// written to, and heard of; and a wipe makes a new one.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := must(newSpoolDir(t.TempDir(), func([]byte) {}))(t)
	t.Cleanup(func() { _ = s.unmount() })
	if !s.reserve() {
		return // no disk may be mounted here, and so the rig does none of this
	}
	heard := make(chan spooledAnswer, 10)
	stop := must(s.watch(func(a spooledAnswer) { heard <- a }))(t)
	defer stop()
	a1, a2 := must(os.Create(filepath.Join(s.folder(), "a1")))(t), must(os.Create(filepath.Join(s.folder(), "a2")))(t)
	defer a1.Close()
	defer a2.Close()
	write := func(f *os.File) {
		t.Helper()
		if _, err := fmt.Fprintf(f, `{"attempt":%q,"size":1}`+"\nx", filepath.Base(f.Name())); err != nil {
			t.Fatal(err)
		}
		if a := <-heard; a.Attempt != filepath.Base(f.Name()) {
			t.Fatalf("heard of %+v", a)
		}
	}
	if err := s.protect(); err != nil {
		t.Fatal(err)
	}
	_, err := os.Create(filepath.Join(s.folder(), "a3"))
	if gone := os.Remove(a2.Name()); !errors.Is(err, syscall.EROFS) || !errors.Is(gone, syscall.EROFS) {
		t.Errorf("a new file: %v; one that is deleted: %v; want it read-only", err, gone)
	}
	write(a1)
	if err := s.unprotect(); err != nil {
		t.Fatal(err)
	}
	write(a2)
	if found := s.answers(); len(found) != 2 {
		t.Errorf("found %v, want both", found)
	}
	if err := s.protect(); err != nil {
		t.Fatal(err)
	}
	s.wipe()
	if _, err := os.Create(filepath.Join(s.folder(), "a4")); err != nil || len(s.answers()) != 0 {
		t.Errorf("after a wipe: %v, and %v is left", err, s.answers())
	}
	if err := s.unprotect(); err != nil {
		t.Errorf("the disk was well already: %v", err)
	}
}

func TestSecretsAreFound(t *testing.T) {
	t.Parallel()
	const secret = "sim-rt-0123456789abcdef0123456789abcdef"
	all := newSearcher([]string{secret, "sim-at-ffffffffffffffffffffffffffffffff"})
	encode := base64.StdEncoding.EncodeToString
	for name, text := range map[string]string{
		"as it is":      `{"token":"` + secret + `"}`,
		"at the start":  secret + " is shown",
		"at the end":    "it is " + secret,
		"base64":        "Basic " + encode([]byte(secret)),
		"base64 + 1":    encode([]byte(":" + secret + ":x")),
		"base64 + 2":    encode([]byte("id" + secret)),
		"base64 longer": encode([]byte("client:" + secret + " and more")),
	} {
		if all.in([]byte(text)) == nil {
			t.Errorf("%s: not found in %q", name, text)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "a part": secret[:20], "its hash": hash(secret), "another": "sim-rt-" + strings.Repeat("0", 32),
	} {
		if form := all.in([]byte(text)); form != nil {
			t.Errorf("%s: found %q", name, form)
		}
	}
}

// TestSearch: a secret in a file or in what passed by is found, and what only looks
// like one is not.
func TestSearch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const secret, other = "sim-rt-0123456789abcdef0123456789abcdef", "sim-rt-ffffffffffffffffffffffffffffffff"
	for name, text := range map[string]string{"a.log": "all is well " + other, "b.log": "oh: " + secret} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	evidence := filepath.Join(t.TempDir(), "evidence")
	s := must(newSecretSearch(evidence))(t)
	s.keep([]byte("SET x " + other))
	s.keep([]byte("SET x " + base64.StdEncoding.EncodeToString([]byte("x"+secret))))
	s.handedOut(other[:20])
	if err := s.finish([]string{secret}, dir); err != nil {
		t.Fatal(err)
	}
	found := strings.Join(s.found, "; ")
	if len(s.found) != 3 || !strings.Contains(found, evidence) || !strings.Contains(found, "b.log") || !strings.Contains(found, "a.log") {
		t.Errorf("found %q", s.found)
	}
}

// TestBreakOff: a provider acts on no request that breaks off before its end.
func TestBreakOff(t *testing.T) {
	t.Parallel()
	for _, half := range []bool{false, true} {
		sims := providersim.New(providersim.Options{})
		app := sims.Checkfront.AddApp(providersim.AppSpec{})
		servers := must(sims.Start("127.0.0.1"))(t)
		t.Cleanup(servers.Close)
		body := "grant_type=refresh_token&refresh_token=" + app.RefreshToken
		req := httptest.NewRequest(http.MethodPost, "/oauth/token/", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(app.ClientID, app.ClientSecret)
		(&providerProxy{rig: &rig{servers: servers}}).breakOff("checkfront", req, []byte(body), half)
		ledger := sims.Checkfront.Ledger()
		if !eventually(patience, func() bool { return ledger.Calls() > 0 }) {
			t.Fatal("the provider has not heard of it")
		}
		if n := ledger.Presentations(); len(n) != 0 || sims.Checkfront.LivingRefreshToken(app.ClientID) != app.RefreshToken {
			t.Errorf("half of the body %t: the ledger has %v", half, n)
		}
	}
}
