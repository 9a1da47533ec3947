package escrow

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"refresher/internal/credential"
)

// FuzzSpentFile reads a spent list of any content, as a crash or a person left it.
// What it says of a token goes on holding when a line is written behind it, and when
// it is written anew: a token that was presented is not presented again. No disk is
// waited for here; what a crash does to the file has tests of its own.
func FuzzSpentFile(f *testing.F) {
	f.Add([]byte("1790000000 sent aa\n1790000000 rotated aa\n1790000000 unspent bb\n"))
	f.Add([]byte("1790000000 sent aa\n1790000000 rot"))
	f.Add([]byte("1 sent aa\n\n  \nx y z\n9223372036854775807 sent cc\n-9223372036854775808 sent dd\n"))
	f.Add([]byte("1790000000\tsent\u00a0aa\r\n1790000000 mislaid aa\n"))
	f.Add([]byte("\x00\xff\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		list := listOf(t, content)
		for line := range bytes.Lines(content[:list.size]) {
			fields := bytes.Fields(line)
			if len(fields) != 3 {
				continue
			}
			hash := string(fields[2])
			if mark := list.mark(hash); !mayPresent(mark, false) && !errors.Is(list.present(hash, false, 0, sealTime), ErrSpent) {
				t.Errorf("%q is marked as %q, and was presented", hash, mark)
			}
		}
		for key, m := range list.marks {
			if m.unix < sealTime.Add(-keepSpent).Unix() {
				t.Errorf("%x has the mark %+v", key, m)
			}
		}
		want := marksOf(list)
		want[keyOf([]byte("fresh"))] = markSent
		behind := fmt.Appendf(bytes.Clone(content[:list.size]), spentLine, sealTime.Unix(), markSent, "fresh")
		if got := marksOf(listOf(t, behind)); !maps.Equal(got, want) {
			t.Errorf("with a line behind it, the list is %v, want %v", got, want)
		}
	})
}

// listOf returns a list without a file.
func listOf(t *testing.T, content []byte) *spentLog {
	t.Helper()
	list := &spentLog{keep: keepSpent, marks: map[spentKey]spentMark{}}
	noError(t, list.read(bytes.NewReader(content)))
	list.forget(sealTime)
	return list
}

// marksOf returns the marks without their lines.
func marksOf(list *spentLog) map[spentKey]string {
	marks := map[spentKey]string{}
	for key, m := range list.marks {
		marks[key] = m.mark
	}
	return marks
}

// FuzzKey reads what stands in Vault as an escrow key. A key that is taken is one
// that seals and opens; the error of one that is not shows nothing of it.
func FuzzKey(f *testing.F) {
	key, err := NewKey("1", sealTime)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key.Private.Reveal())
	f.Add(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	f.Add(base64.StdEncoding.EncodeToString(make([]byte, 31)))
	f.Add("not base64!")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		private, err := Key{ID: "1", Private: credential.Secret(text)}.parse()
		if err != nil {
			if len(text) > 20 && strings.Contains(err.Error(), text) {
				t.Errorf("the error shows the key: %v", err)
			}
			return
		}
		sealed, err := seal(sealingKey{id: "1", public: private.PublicKey()}, sealRef(), Lineage{}, []byte("answer"), sealTime)
		noError(t, err)
		if e, ciphertext, err := parseEnvelope(sealed); err != nil || e.ref() != sealRef() || len(ciphertext) != e.Size {
			t.Errorf("sealed as %+v: %v", e, err)
		}
	})
}
