package providersim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"sync"
)

// Hash is the form in which a token appears in the ledger: its SHA-256 in lowercase hex, or "" for no token.
func Hash(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, says its document
	return hex.EncodeToString(b[:])
}

// secretBook remembers every secret, so that logs can be searched for them.
type secretBook struct {
	mu   sync.Mutex
	seen map[string]struct{}
	list []string
}

func newSecretBook() *secretBook {
	return &secretBook{seen: map[string]struct{}{}}
}

// add remembers the values, and how they look in a URL where that differs.
func (b *secretBook) add(values ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range values {
		for _, form := range []string{v, url.QueryEscape(v)} {
			if _, known := b.seen[form]; known || form == "" {
				continue
			}
			b.seen[form] = struct{}{}
			b.list = append(b.list, form)
		}
	}
}

// addBasic remembers the password and what an Authorization header makes of the pair.
func (b *secretBook) addBasic(user, password string) {
	b.add(password, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// mint makes a new secret that looks fake.
func (b *secretBook) mint(what string) string {
	s := "sim-" + what + "-" + randomHex()
	b.add(s)
	return s
}

func (b *secretBook) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.list)
}
