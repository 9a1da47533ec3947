package config

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
)

// Hash returns a number that is the same for the same values of all keys. Secrets
// count as set or not set only, so that nothing of them is in it.
func Hash(c Config) uint64 {
	digest := sha256.New()
	for _, key := range Keys() {
		for _, text := range formatAll(key.value(&c)) {
			if key.Secret && text != "" {
				text = "set"
			}
			_, _ = io.WriteString(digest, key.Path+"\x00"+text+"\x00") // a hash takes everything
		}
	}
	return binary.BigEndian.Uint64(digest.Sum(nil))
}
