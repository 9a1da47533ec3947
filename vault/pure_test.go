package vault

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		failures int
		random   float64
		want     time.Duration
	}{
		{0, 0, 500 * time.Millisecond},
		{0, 1, 250 * time.Millisecond},
		{1, 0, time.Second},
		{3, 0.5, 3 * time.Second},
		{6, 0, 30 * time.Second},
		{1000, 0, 30 * time.Second},
		{1000, 1, 15 * time.Second},
	} {
		if got := backoff(test.failures, test.random); got != test.want {
			t.Errorf("backoff(%d, %v) = %s, want %s", test.failures, test.random, got, test.want)
		}
	}
}

func TestSkew(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		began, ended time.Time
		want         time.Duration
	}{
		"none":      {noon, noon.Add(time.Second), 0},
		"we lag":    {noon.Add(-time.Minute), noon.Add(-time.Minute), time.Minute + time.Second/2},
		"we hasten": {noon.Add(time.Minute), noon.Add(time.Minute + time.Second), -time.Minute},
	} {
		if got := skew(noon, test.began, test.ended); got != test.want {
			t.Errorf("%s: skew = %s, want %s", name, got, test.want)
		}
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	if got := oneLine("2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"); got != "2 errors occurred: * permission denied * invalid token" {
		t.Errorf("got %q", got)
	}
	if got := oneLine(strings.Repeat("é", 1000)); len(got) > maxMessage+len("…") || !strings.HasSuffix(got, "é…") {
		t.Errorf("a long message became %d bytes: %q", len(got), got)
	}
}

// decodeJSON reads a document as it comes from Vault; nil if it is no object.
func decodeJSON(text []byte) map[string]any {
	var data map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&data) != nil {
		return nil
	}
	return data
}

// again sends a document through Vault's encoding.
func again(t *testing.T, data map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return decodeJSON(text)
}

// Whatever a person made of a document, it is understood, and then written and
// read back the same, or refused.
func FuzzDecodeGrant(f *testing.F) {
	f.Add([]byte(`{"state":"idle","generation":1,"refresh_token":"r","seeds":["a"],"expires_at":"2026-07-01T12:00:00.5Z"}`))
	f.Add([]byte(`{"state":"intent","generation":0,"refresh_token":"r","intent":{"attempt":"a","owner":"o","began_at":"2026-07-01T12:00:00+02:00","earlier":["b"]}}`))
	f.Add([]byte(`{"state":"dead","generation":-1,"intent":null,"seeds":[null]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		grant, err := decodeGrant(decodeJSON(text))
		if err != nil {
			return
		}
		back, err := decodeGrant(again(t, encodeGrant(grant)))
		if err != nil || !reflect.DeepEqual(back, grant) {
			t.Errorf("read %#v, wrote and read %#v, %v", grant, back, err)
		}
	})
}

func FuzzDecodeToken(f *testing.F) {
	f.Add([]byte(`{"status":"active","generation":1,"headers":{"Authorization":"Bearer x"},"query":{},"renew_at":"2026-07-01T12:00:00Z"}`))
	f.Add([]byte(`{"status":"removed","generation":1e3,"headers":null,"message":"gone"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		token, err := decodeToken(decodeJSON(text))
		if err != nil {
			return
		}
		back, err := decodeToken(again(t, encodeToken(token)))
		if err != nil || !reflect.DeepEqual(back, token) {
			t.Errorf("read %#v, wrote and read %#v, %v", token, back, err)
		}
	})
}
