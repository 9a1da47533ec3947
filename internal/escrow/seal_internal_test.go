package escrow

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
)

// fixedKeys are keys that never change.
type fixedKeys []Key

func (k fixedKeys) Keys(context.Context) ([]Key, error)  { return k, nil }
func (k fixedKeys) CreateKey(context.Context, Key) error { return credential.ErrConflict }

var sealTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func sealRef() Ref {
	return Ref{
		ID: credential.ID{Tenant: "acme", Name: "bookings"}, Attempt: "0123456789abcdef",
		Presented: credential.Secret("presented").Hash(),
	}
}

// sealWith seals plain to sealRef with the first of the keys "1", "2" and "twin",
// which is "1" under another name, and returns a keyring that has them. The keys are always the same, so that what one
// process of a fuzzer has sealed opens in another.
func sealWith(tb testing.TB, plain []byte) (*keyring, []byte) {
	tb.Helper()
	var keys fixedKeys
	for id, from := range map[string]string{"1": "1", "2": "2", "twin": "1"} {
		private, err := kem().DeriveKeyPair(bytes.Repeat([]byte(from), 32))
		if err != nil {
			tb.Fatal(err)
		}
		raw, err := private.Bytes()
		if err != nil {
			tb.Fatal(err)
		}
		keys = append(keys, Key{ID: id, Private: credential.Secret(base64.StdEncoding.EncodeToString(raw))})
	}
	at := slices.IndexFunc(keys, func(k Key) bool { return k.ID == "1" })
	private, err := keys[at].parse()
	if err != nil {
		tb.Fatal(err)
	}
	sealed, err := seal(sealingKey{id: "1", public: private.PublicKey()}, sealRef(), Lineage{"seed", 1}, plain, sealTime)
	if err != nil {
		tb.Fatal(err)
	}
	return &keyring{store: keys}, sealed
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	plain := []byte("the answer\nof a provider")
	ring, sealed := sealWith(t, plain)
	for name, input := range map[string][]byte{
		"as it is":             sealed,
		"in a room of zeros":   append(bytes.Clone(sealed), make([]byte, 4096)...),
		"before something old": append(bytes.Clone(sealed), sealed...),
	} {
		ref, got, err := ring.open(t.Context(), input)
		if err != nil || ref != sealRef() || !bytes.Equal(got, plain) {
			t.Errorf("%s: got %+v, %q, %v", name, ref, got, err)
		}
	}
}

// TestEnvelopeIsBound: the clear line says whose answer it is, and the seal holds
// it to that.
func TestEnvelopeIsBound(t *testing.T) {
	t.Parallel()
	ring, sealed := sealWith(t, []byte("answer"))
	line, ciphertext, _ := bytes.Cut(sealed, []byte{'\n'})
	altered := func(t *testing.T, field, value string) []byte {
		t.Helper()
		var head map[string]any
		if err := json.Unmarshal(line, &head); err != nil {
			t.Fatal(err)
		}
		if _, ok := head[field]; !ok {
			t.Fatalf("the head has no field %q: %s", field, line)
		}
		head[field] = value
		changed, err := json.Marshal(head)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Join([][]byte{changed, ciphertext}, []byte{'\n'})
	}
	for _, test := range [][2]string{
		{"key", "2"},
		{"key", "twin"},
		{"tenant", "evil"},
		{"name", "other"},
		{"attempt", "fedcba9876543210"},
		{"presented", credential.Secret("another").Hash()},
	} {
		field, value := test[0], test[1]
		t.Run(field+" "+value, func(t *testing.T) {
			t.Parallel()
			_, plain, err := ring.open(t.Context(), altered(t, field, value))
			if !errors.Is(err, ErrUnreadable) || plain != nil {
				t.Errorf("got %q, %v, want ErrUnreadable", plain, err)
			}
		})
	}
}

// TestEnvelopeDamaged: whatever is lost or changed, it shows.
func TestEnvelopeDamaged(t *testing.T) {
	t.Parallel()
	ring, sealed := sealWith(t, []byte("answer"))
	body := bytes.IndexByte(sealed, '\n') + 1
	for n := range sealed {
		if _, plain, err := ring.open(t.Context(), sealed[:n]); !errors.Is(err, ErrUnreadable) {
			t.Errorf("the first %d of %d bytes: got %q, %v, want ErrUnreadable", n, len(sealed), plain, err)
		}
	}
	for n := body; n < len(sealed); n++ {
		for bit := range 8 {
			flipped := bytes.Clone(sealed)
			flipped[n] ^= 1 << bit
			// The last bit of an X25519 public key is not part of its number (RFC
			// 7748, section 5), but HPKE binds the key as it was sent.
			if _, plain, err := ring.open(t.Context(), flipped); !errors.Is(err, ErrUnreadable) {
				t.Errorf("bit %d of byte %d flipped: got %q, %v, want ErrUnreadable", bit, n, plain, err)
			}
		}
	}
}

func TestEnvelopeOfAnotherFormat(t *testing.T) {
	t.Parallel()
	ring, sealed := sealWith(t, []byte("answer"))
	_, _, err := ring.open(t.Context(), bytes.Replace(sealed, []byte(`"v":1`), []byte(`"v":7`), 1))
	if err == nil || errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "format 7") {
		t.Errorf("got %v, want an error that is not ErrUnreadable and names the format", err)
	}
}

// FuzzEnvelope opens what might stand on a disk or in Redis. Nothing opens but
// the one answer that was sealed, as the answer to what it was sealed to.
func FuzzEnvelope(f *testing.F) {
	plain := []byte("the answer")
	ring, sealed := sealWith(f, plain)
	line, ciphertext, _ := bytes.Cut(sealed, []byte{'\n'})
	f.Add(line, ciphertext)
	f.Add(bytes.Replace(line, []byte("acme"), []byte("evil"), 1), ciphertext)
	f.Add(bytes.Replace(line, []byte(`"key":"1"`), []byte(`"key":"2"`), 1), ciphertext)
	f.Add(bytes.Replace(line, []byte(`"v":1`), []byte(`"v":2`), 1), ciphertext)
	f.Add(bytes.Replace(line, []byte(`"tenant"`), []byte(`"TENANT":"evil","tenant"`), 1), ciphertext)
	f.Add(line, ciphertext[:31])
	f.Add(line, make([]byte, len(ciphertext)))
	f.Add([]byte(`{"v":1,"key":"1","tenant":"acme","name":"bookings","attempt":"0123456789abcdef","presented":"","size":1}`), []byte{0})
	f.Add([]byte(`{"v":1,"size":-1}`), []byte{})
	f.Add([]byte{0}, []byte{0})
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, head, body []byte) {
		input := bytes.Join([][]byte{head, body}, []byte{'\n'})
		e, rest, err := parseEnvelope(input)
		if err == nil && (len(rest) != e.Size || !attemptName.MatchString(e.Attempt) || e.ref().ID.String() == "/") {
			t.Errorf("parsed as %+v with %d bytes", e, len(rest))
		}
		ref, opened, err := ring.open(t.Context(), input)
		if err == nil && (ref != sealRef() || !bytes.Equal(opened, plain)) {
			t.Errorf("opened as %+v: %q", ref, opened)
		}
		if err != nil && opened != nil {
			t.Errorf("got %q beside %v", opened, err)
		}
	})
}
